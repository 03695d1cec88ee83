import { describe, expect, it } from 'vitest';
import { BLK_STS, blkStatusText, blkStatusToErrno, errnoToBlkStatus } from './blk-status.js';

describe('blk_status', () => {
  it.each([
    ['OK', undefined, ''],
    ['NOTSUPP', 'EOPNOTSUPP', 'operation not supported'],
    ['TIMEOUT', 'ETIMEDOUT', 'timeout'],
    ['NOSPC', 'ENOSPC', 'critical space allocation'],
    ['TRANSPORT', 'ENOLINK', 'recoverable transport'],
    ['TARGET', 'EREMOTEIO', 'critical target'],
    ['NEXUS', 'EBADE', 'critical nexus'],
    ['MEDIUM', 'ENODATA', 'critical medium'],
    ['PROTECTION', 'EILSEQ', 'protection'],
    ['RESOURCE', 'ENOMEM', 'kernel resource'],
    ['IOERR', 'EIO', 'I/O'],
    ['DM_REQUEUE', 'EREMCHG', 'dm internal retry'],
    ['AGAIN', 'EAGAIN', 'nonblocking retry'],
    ['DEV_RESOURCE', 'EBUSY', 'device resource'],
    ['ZONE_OPEN_RESOURCE', 'ETOOMANYREFS', 'open zones exceeded'],
    ['ZONE_ACTIVE_RESOURCE', 'EOVERFLOW', 'active zones exceeded'],
    ['OFFLINE', 'ENODEV', 'device offline'],
  ] as const)('%s is %s', (name, errno, text) => {
    expect([blkStatusToErrno(BLK_STS[name]), blkStatusText(BLK_STS[name])]).toEqual([errno, text]);
    expect(errnoToBlkStatus(errno)).toBe(BLK_STS[name]);
  });

  it('answers EIO for a status, and IOERR for an errno, that have no partner', () => {
    expect(blkStatusToErrno(BLK_STS.ZONE_RESOURCE)).toBe('EIO');
    expect(errnoToBlkStatus('EPERM')).toBe(BLK_STS.IOERR);
  });
});
