DROP INDEX `idx_jobs_lease`;--> statement-breakpoint
DROP INDEX `idx_jobs_claim`;--> statement-breakpoint
DROP INDEX `idx_jobs_due`;--> statement-breakpoint
DROP INDEX `idx_jobs_cycle`;--> statement-breakpoint
DROP INDEX `idx_jobs_unique`;--> statement-breakpoint
ALTER TABLE `jobs` ADD `is_due` integer DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE `jobs` ADD `put_off_by` text;--> statement-breakpoint
CREATE INDEX `idx_jobs_put_off` ON `jobs` (`put_off_by`) WHERE put_off_by IS NOT NULL;--> statement-breakpoint
CREATE INDEX `idx_jobs_leased` ON `jobs` (`id`) WHERE status = 'in_progress';--> statement-breakpoint
CREATE INDEX `idx_jobs_parent` ON `jobs` (`parent_job_id`) WHERE parent_job_id IS NOT NULL;--> statement-breakpoint
CREATE INDEX `idx_jobs_claim` ON `jobs` (`job_type`,`priority`,`next_retry_at`,`id`) WHERE status = 'pending' AND is_due = 1;--> statement-breakpoint
CREATE INDEX `idx_jobs_due` ON `jobs` (`job_type`,`next_retry_at`) WHERE status = 'pending' AND is_due = 0;--> statement-breakpoint
CREATE INDEX `idx_jobs_cycle` ON `jobs` (`cycle_date`,`job_type`) WHERE completed_at IS NULL AND cycle_date IS NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX `idx_jobs_unique` ON `jobs` (`unique_key`) WHERE completed_at IS NULL;