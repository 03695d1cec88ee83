/**
 * Property tests draw the same cases in every run, so that a red build is the change's doing; `FC_SEED=N` draws others.
 */
import fc from 'fast-check';

fc.configureGlobal({ seed: Number(process.env['FC_SEED'] ?? 20150414) });
