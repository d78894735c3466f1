// Threads inherit the preload; the database and the steps belong to the main one. JavaScript, because no thread is to strip types (decision 0026).
import { isMainThread } from 'node:worker_threads';

if (isMainThread) await import('./kill-switch.ts');
