/* probe CALL FILE [ARGUMENT]...: one system call on a file, and what it answers, in a line. See the console's command of that name. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define SKEW 4
#define TWO_MIB (1ul << 21)

static sigjmp_buf back;

static void caught(int signal) { siglongjmp(back, signal); }

static int has(int argc, char **argv, const char *word)
{
	for (int i = 3; i < argc; i++)
		if (!strcmp(argv[i], word))
			return 1;
	return 0;
}

static long number(int argc, char **argv, int at) { return at < argc ? strtol(argv[at], NULL, 0) : 0; }

static int failed(void)
{
	printf("-1 %s (%s)\n", strerrorname_np(errno), strerror(errno));
	return 1;
}

static int answer(long result) { return result < 0 ? failed() : (printf("%ld\n", result), 0); }

static int map(int fd, int argc, char **argv)
{
	const char *kind = argc > 5 ? argv[5] : "shared";
	int flags = !strcmp(kind, "private") ? MAP_PRIVATE : !strcmp(kind, "sync") ? MAP_SHARED_VALIDATE | MAP_SYNC : MAP_SHARED;
	int protection = PROT_READ | (has(argc, argv, "w") ? PROT_WRITE : 0);
	volatile char *at = mmap(NULL, number(argc, argv, 4), protection, flags, fd, number(argc, argv, 3));
	if (at == MAP_FAILED)
		return failed(), 0;
	printf("mapped va-mod-2M=0x%lx touch=", (uintptr_t)at % TWO_MIB);
	signal(SIGBUS, caught);
	signal(SIGSEGV, caught);
	int signal = sigsetjmp(back, 1);
	if (!signal)
		(void)*at;
	puts(!signal ? "ok" : signal == SIGBUS ? "SIGBUS" : "SIGSEGV");
	return 0;
}

static int transfer(int fd, int argc, char **argv, int writes)
{
	long offset = number(argc, argv, 3), length = number(argc, argv, 4);
	char *buffer = mmap(NULL, length + SKEW, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (has(argc, argv, "bufskew"))
		buffer += SKEW;
	long done = writes ? pwrite(fd, buffer, length, offset) : pread(fd, buffer, length, offset);
	int status = answer(done);
	if (writes && !status) {
		printf("  fsync = ");
		answer(fsync(fd));
	}
	return status;
}

static int sizes(int fd)
{
	uint64_t size;
	unsigned int physical;
	int sector, ro, alignment;
	if (ioctl(fd, BLKGETSIZE64, &size) || ioctl(fd, BLKSSZGET, &sector) || ioctl(fd, BLKPBSZGET, &physical) || ioctl(fd, BLKROGET, &ro) || ioctl(fd, BLKALIGNOFF, &alignment))
		return failed();
	printf("size=%lu ssz=%d pbsz=%u ro=%d alignoff=%d\n", size, sector, physical, ro, alignment);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return fputs("usage: probe CALL FILE [ARGUMENT]...\n", stderr), 2;
	const char *call = argv[1];
	int reads = !strcmp(call, "pread") || !strcmp(call, "fsync") || !strcmp(call, "seekend") || !strcmp(call, "ioctl-size");
	if (!strcmp(call, "open"))
		reads = !has(argc, argv, "rw");
	for (int i = 1; i < argc; i++)
		printf("%s ", argv[i]);
	int fd = open(argv[2], (reads ? O_RDONLY : O_RDWR) | (has(argc, argv, "direct") ? O_DIRECT : 0));
	if (fd < 0)
		return printf(": open = "), failed();
	uint64_t range[2] = { number(argc, argv, 3), number(argc, argv, 4) };
	if (!strcmp(call, "ioctl-size"))
		return sizes(fd);
	printf("= ");
	if (!strcmp(call, "mmap"))
		return map(fd, argc, argv);
	if (!strcmp(call, "pread") || !strcmp(call, "pwrite"))
		return transfer(fd, argc, argv, !strcmp(call, "pwrite"));
	if (!strcmp(call, "open"))
		return answer(0);
	if (!strcmp(call, "fsync"))
		return answer(fsync(fd)), 0;
	if (!strcmp(call, "seekend"))
		return answer(lseek(fd, 0, SEEK_END)), 0;
	if (!strcmp(call, "discard"))
		return answer(ioctl(fd, BLKDISCARD, range));
	if (!strcmp(call, "secdiscard"))
		return answer(ioctl(fd, BLKSECDISCARD, range));
	if (!strcmp(call, "zeroout"))
		return answer(ioctl(fd, BLKZEROOUT, range));
	return fprintf(stderr, "probe: unknown call '%s'\n", call), 2;
}
