import { answer } from './answer.worker.ts';
import { check } from './check.worker.ts';
import { copy } from './copy.worker.ts';

answer({ copy, check });
