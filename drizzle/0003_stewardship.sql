ALTER TABLE `dumps` ADD `verified_at` integer;--> statement-breakpoint
ALTER TABLE `dumps` ADD `stored_mtime_ms` real;--> statement-breakpoint
ALTER TABLE `dumps` ADD `damaged_at` integer;--> statement-breakpoint
CREATE INDEX `idx_dumps_scrub` ON `dumps` (`verified_at`) WHERE local_path IS NOT NULL;--> statement-breakpoint
CREATE INDEX `idx_dumps_damaged` ON `dumps` (`damaged_at`) WHERE damaged_at IS NOT NULL;--> statement-breakpoint
ALTER TABLE `deletions` ADD `previous_status` text;--> statement-breakpoint
ALTER TABLE `deletions` ADD `removed_at` integer;--> statement-breakpoint
CREATE INDEX `idx_deletions_open` ON `deletions` (`id`) WHERE removed_at IS NULL;--> statement-breakpoint
ALTER TABLE `mirrors` ADD `wrong_sizes` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `mirrors` ADD `faults_in_a_row` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `mirrors` ADD `ranges_at_once` integer;--> statement-breakpoint
ALTER TABLE `mirrors` ADD `newest_run_date` text;--> statement-breakpoint
ALTER TABLE `mirrors` ADD `last_fault` text;--> statement-breakpoint
ALTER TABLE `mirrors` ADD `last_fault_at` integer;--> statement-breakpoint
ALTER TABLE `torrents` ADD `align_files_from` integer;--> statement-breakpoint
ALTER TABLE `torrents` ADD `retired_at` integer;--> statement-breakpoint
UPDATE `deletions` SET `removed_at` = `deleted_at`;
