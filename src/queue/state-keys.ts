/** Key of `system_state` while a running job is to be cancelled. */
export function cancelKey(jobId: number): string {
  return `cancel:${jobId}`;
}
