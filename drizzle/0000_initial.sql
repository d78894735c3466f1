CREATE TABLE `cycles` (
	`cycle_date` text PRIMARY KEY NOT NULL,
	`status` text DEFAULT 'open' NOT NULL,
	`includes_history` integer NOT NULL,
	`scanned_at` integer,
	`deadline_at` integer NOT NULL,
	`opened_at` integer NOT NULL,
	`sealed_at` integer,
	`torrented_at` integer,
	`seeding_at` integer,
	`published_at` integer,
	CONSTRAINT "cycles_status" CHECK("cycles"."status" IN ('open','sealed','torrented','seeding','published')),
	CONSTRAINT "cycles_sealed" CHECK(("cycles"."status" = 'open') = ("cycles"."sealed_at" IS NULL)),
	CONSTRAINT "cycles_published" CHECK(("cycles"."status" = 'published') = ("cycles"."published_at" IS NOT NULL))
);
--> statement-breakpoint
CREATE TABLE `dump_runs` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`wiki_db_name` text NOT NULL,
	`source` text DEFAULT 'classic' NOT NULL,
	`run_date` text NOT NULL,
	`cycle_date` text NOT NULL,
	`status` text NOT NULL,
	`notices` text DEFAULT '[]' NOT NULL,
	`last_good_status` text,
	`checked_at` integer NOT NULL,
	`finished_at` integer,
	CONSTRAINT "dump_runs_status" CHECK("dump_runs"."status" IN ('absent','in_progress','finished'))
);
--> statement-breakpoint
CREATE INDEX `idx_dump_runs_cycle` ON `dump_runs` (`cycle_date`,`status`);--> statement-breakpoint
CREATE UNIQUE INDEX `dump_runs_identity` ON `dump_runs` (`wiki_db_name`,`source`,`run_date`);--> statement-breakpoint
CREATE TABLE `dump_piece_hashes` (
	`dump_id` integer PRIMARY KEY NOT NULL,
	`piece_length` integer NOT NULL,
	`sha1s` blob NOT NULL,
	FOREIGN KEY (`dump_id`) REFERENCES `dumps`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE TABLE `dumps` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`project` text NOT NULL,
	`language` text NOT NULL,
	`wiki_db_name` text NOT NULL,
	`source` text DEFAULT 'classic' NOT NULL,
	`run_date` text NOT NULL,
	`cycle_date` text NOT NULL,
	`dump_type` text NOT NULL,
	`filename` text NOT NULL,
	`is_history` integer DEFAULT false NOT NULL,
	`size_bytes` integer NOT NULL,
	`md5` text,
	`sha1` text,
	`sha256` text,
	`upstream_md5` text,
	`upstream_sha1` text,
	`upstream_sha256` text,
	`verification` text,
	`wikimedia_url` text NOT NULL,
	`fetched_from_url` text,
	`local_path` text,
	`ia_identifier` text,
	`ia_url` text,
	`ia_verified_at` integer,
	`ia_refused_at` integer,
	`archive_today_url` text,
	`wikimedia_status` text,
	`our_status` text DEFAULT 'pending' NOT NULL,
	`wikimedia_date` integer,
	`discovered_at` integer NOT NULL,
	`downloaded_at` integer,
	`uploaded_at` integer,
	`error_message` text,
	CONSTRAINT "dumps_our_status" CHECK("dumps"."our_status" IN ('pending','downloading','downloaded','uploading','uploaded','included','failed','quarantined','deleted')),
	CONSTRAINT "dumps_verification" CHECK("dumps"."verification" IS NULL OR "dumps"."verification" IN ('sha1','md5','sha256-upstream','structure-only')),
	CONSTRAINT "dumps_held_is_verified" CHECK("dumps"."our_status" NOT IN ('downloaded','uploading','uploaded','included') OR ("dumps"."verification" IS NOT NULL AND "dumps"."local_path" IS NOT NULL AND "dumps"."sha1" IS NOT NULL))
);
--> statement-breakpoint
CREATE INDEX `idx_dumps_cycle` ON `dumps` (`cycle_date`,`our_status`);--> statement-breakpoint
CREATE INDEX `idx_dumps_wiki` ON `dumps` (`wiki_db_name`,`cycle_date`);--> statement-breakpoint
CREATE INDEX `idx_dumps_status` ON `dumps` (`our_status`);--> statement-breakpoint
CREATE INDEX `idx_dumps_project_lang` ON `dumps` (`project`,`language`);--> statement-breakpoint
CREATE INDEX `idx_dumps_type` ON `dumps` (`dump_type`);--> statement-breakpoint
CREATE UNIQUE INDEX `dumps_identity` ON `dumps` (`wiki_db_name`,`source`,`run_date`,`filename`);--> statement-breakpoint
CREATE TABLE `job_attempts` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`job_id` integer NOT NULL,
	`attempt` integer NOT NULL,
	`outcome` text NOT NULL,
	`error_code` text,
	`message` text,
	`started_at` integer NOT NULL,
	`ended_at` integer NOT NULL,
	FOREIGN KEY (`job_id`) REFERENCES `jobs`(`id`) ON UPDATE no action ON DELETE cascade,
	CONSTRAINT "job_attempts_outcome" CHECK("job_attempts"."outcome" IN ('retryable','permanent','halted','interrupted','lease_lost'))
);
--> statement-breakpoint
CREATE INDEX `idx_job_attempts_job` ON `job_attempts` (`job_id`);--> statement-breakpoint
CREATE TABLE `jobs` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`job_type` text NOT NULL,
	`status` text DEFAULT 'pending' NOT NULL,
	`parent_job_id` integer,
	`dump_id` integer,
	`cycle_date` text,
	`params` text NOT NULL,
	`result` text,
	`unique_key` text NOT NULL,
	`priority` integer DEFAULT 100 NOT NULL,
	`attempt` integer DEFAULT 0 NOT NULL,
	`max_attempts` integer NOT NULL,
	`next_retry_at` integer NOT NULL,
	`last_error` text,
	`lease_owner` text,
	`lease_seq` integer DEFAULT 0 NOT NULL,
	`lease_expires_at` integer,
	`cursor` text,
	`progress_bytes` integer,
	`progress_total_bytes` integer,
	`progress_bytes_per_second` integer,
	`created_at` integer NOT NULL,
	`started_at` integer,
	`completed_at` integer,
	FOREIGN KEY (`parent_job_id`) REFERENCES `jobs`(`id`) ON UPDATE no action ON DELETE set null,
	CONSTRAINT "jobs_status" CHECK("jobs"."status" IN ('pending','in_progress','completed','failed','quarantined','cancelled')),
	CONSTRAINT "jobs_finished" CHECK(("jobs"."status" IN ('completed','failed','quarantined','cancelled')) = ("jobs"."completed_at" IS NOT NULL)),
	CONSTRAINT "jobs_leased" CHECK(("jobs"."status" = 'in_progress') = ("jobs"."lease_owner" IS NOT NULL AND "jobs"."lease_expires_at" IS NOT NULL)),
	CONSTRAINT "jobs_attempts" CHECK("jobs"."attempt" BETWEEN 0 AND "jobs"."max_attempts")
);
--> statement-breakpoint
CREATE INDEX `idx_jobs_claim` ON `jobs` (`job_type`,`priority`,`next_retry_at`,`id`) WHERE status = 'pending';--> statement-breakpoint
CREATE INDEX `idx_jobs_due` ON `jobs` (`job_type`,`next_retry_at`) WHERE status = 'pending';--> statement-breakpoint
CREATE INDEX `idx_jobs_lease` ON `jobs` (`lease_expires_at`) WHERE status = 'in_progress';--> statement-breakpoint
CREATE INDEX `idx_jobs_type_status` ON `jobs` (`job_type`,`status`);--> statement-breakpoint
CREATE INDEX `idx_jobs_cycle` ON `jobs` (`cycle_date`,`job_type`) WHERE status IN ('pending','in_progress');--> statement-breakpoint
CREATE INDEX `idx_jobs_dump` ON `jobs` (`dump_id`);--> statement-breakpoint
CREATE INDEX `idx_jobs_finished` ON `jobs` (`completed_at`) WHERE completed_at IS NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX `idx_jobs_unique` ON `jobs` (`unique_key`) WHERE status IN ('pending','in_progress');--> statement-breakpoint
CREATE TABLE `alerts` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`alert_key` text NOT NULL,
	`severity` text NOT NULL,
	`message` text NOT NULL,
	`hint` text,
	`count` integer DEFAULT 1 NOT NULL,
	`first_at` integer NOT NULL,
	`last_at` integer NOT NULL,
	`resolved_at` integer,
	CONSTRAINT "alerts_severity" CHECK("alerts"."severity" IN ('info','warn','error'))
);
--> statement-breakpoint
CREATE INDEX `idx_alerts_open` ON `alerts` (`alert_key`) WHERE resolved_at IS NULL;--> statement-breakpoint
CREATE TABLE `deletions` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`dump_id` integer,
	`wiki_db_name` text NOT NULL,
	`path` text NOT NULL,
	`size_bytes` integer NOT NULL,
	`sha256` text,
	`reason` text NOT NULL,
	`evidence` text NOT NULL,
	`deleted_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `idx_deletions_wiki` ON `deletions` (`wiki_db_name`);--> statement-breakpoint
CREATE TABLE `metrics` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`metric_type` text NOT NULL,
	`value` real NOT NULL,
	`unit` text NOT NULL,
	`recorded_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `idx_metrics_type` ON `metrics` (`metric_type`,`recorded_at`);--> statement-breakpoint
CREATE TABLE `mirrors` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`base_url` text NOT NULL,
	`is_active` integer DEFAULT true NOT NULL,
	`good_files` integer DEFAULT 0 NOT NULL,
	`bad_hashes` integer DEFAULT 0 NOT NULL,
	`not_found` integer DEFAULT 0 NOT NULL,
	`bytes_per_second` real,
	`probation_until` integer,
	`last_used_at` integer
);
--> statement-breakpoint
CREATE UNIQUE INDEX `mirrors_base_url_unique` ON `mirrors` (`base_url`);--> statement-breakpoint
CREATE TABLE `page_snapshots` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`cycle_date` text NOT NULL,
	`url` text NOT NULL,
	`service` text NOT NULL,
	`status` text DEFAULT 'pending' NOT NULL,
	`snapshot_url` text,
	`requested_at` integer,
	`completed_at` integer,
	`note` text,
	CONSTRAINT "page_snapshots_status" CHECK("page_snapshots"."status" IN ('pending','submitted','done','skipped','failed'))
);
--> statement-breakpoint
CREATE UNIQUE INDEX `page_snapshots_identity` ON `page_snapshots` (`cycle_date`,`url`,`service`);--> statement-breakpoint
CREATE TABLE `system_state` (
	`key` text PRIMARY KEY NOT NULL,
	`value` text NOT NULL,
	`updated_at` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `worker_health` (
	`name` text PRIMARY KEY NOT NULL,
	`status` text NOT NULL,
	`last_heartbeat_at` integer NOT NULL,
	`jobs_completed` integer DEFAULT 0 NOT NULL,
	`jobs_failed` integer DEFAULT 0 NOT NULL,
	CONSTRAINT "worker_health_status" CHECK("worker_health"."status" IN ('healthy','degraded','failed'))
);
--> statement-breakpoint
CREATE TABLE `shares` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`subject` text NOT NULL,
	`platform` text NOT NULL,
	`platform_url` text,
	`status` text DEFAULT 'pending' NOT NULL,
	`content_sha256` text,
	`uploaded_at` integer,
	`last_checked_at` integer,
	`note` text,
	CONSTRAINT "shares_status" CHECK("shares"."status" IN ('pending','uploading','active','skipped','failed'))
);
--> statement-breakpoint
CREATE UNIQUE INDEX `shares_identity` ON `shares` (`subject`,`platform`);--> statement-breakpoint
CREATE TABLE `torrent_files` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`torrent_id` integer NOT NULL,
	`dump_id` integer NOT NULL,
	`path_in_torrent` text NOT NULL,
	`size_bytes` integer NOT NULL,
	FOREIGN KEY (`torrent_id`) REFERENCES `torrents`(`id`) ON UPDATE no action ON DELETE cascade,
	FOREIGN KEY (`dump_id`) REFERENCES `dumps`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `idx_torrent_files_dump` ON `torrent_files` (`dump_id`);--> statement-breakpoint
CREATE UNIQUE INDEX `torrent_files_identity` ON `torrent_files` (`torrent_id`,`dump_id`);--> statement-breakpoint
CREATE TABLE `torrent_stats` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`torrent_id` integer NOT NULL,
	`seeders` integer,
	`leechers` integer,
	`completed` integer,
	`uploaded_bytes` integer,
	`source` text NOT NULL,
	`recorded_at` integer NOT NULL,
	FOREIGN KEY (`torrent_id`) REFERENCES `torrents`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `idx_torrent_stats_torrent` ON `torrent_stats` (`torrent_id`,`recorded_at`);--> statement-breakpoint
CREATE TABLE `torrents` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`name` text NOT NULL,
	`grouping` text NOT NULL,
	`cycle_date` text NOT NULL,
	`is_history` integer DEFAULT false NOT NULL,
	`info_hash` text NOT NULL,
	`magnet_link` text NOT NULL,
	`total_size_bytes` integer NOT NULL,
	`file_count` integer NOT NULL,
	`piece_length` integer NOT NULL,
	`piece_count` integer NOT NULL,
	`torrent_file_path` text NOT NULL,
	`content_path` text NOT NULL,
	`torrent_url` text,
	`trackers` text DEFAULT '[]' NOT NULL,
	`webseeds` text DEFAULT '[]' NOT NULL,
	`seeding_since` integer,
	`published_at` integer,
	`created_at` integer NOT NULL,
	CONSTRAINT "torrents_grouping" CHECK("torrents"."grouping" IN ('cycle','wiki_run','project','language')),
	CONSTRAINT "torrents_info_hash" CHECK(length("torrents"."info_hash") = 40)
);
--> statement-breakpoint
CREATE UNIQUE INDEX `torrents_info_hash_unique` ON `torrents` (`info_hash`);--> statement-breakpoint
CREATE INDEX `idx_torrents_cycle` ON `torrents` (`cycle_date`);--> statement-breakpoint
CREATE UNIQUE INDEX `torrents_identity` ON `torrents` (`name`,`cycle_date`);--> statement-breakpoint
CREATE TABLE `wikis` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`wiki_db_name` text NOT NULL,
	`project` text NOT NULL,
	`language` text NOT NULL,
	`url` text NOT NULL,
	`name` text DEFAULT '' NOT NULL,
	`is_closed` integer DEFAULT false NOT NULL,
	`is_private` integer DEFAULT false NOT NULL,
	`is_fishbowl` integer DEFAULT false NOT NULL,
	`vanished_at` integer,
	`discovered_at` integer NOT NULL,
	`last_seen_at` integer NOT NULL,
	CONSTRAINT "wikis_db_name" CHECK(length("wikis"."wiki_db_name") BETWEEN 1 AND 64)
);
--> statement-breakpoint
CREATE UNIQUE INDEX `wikis_wiki_db_name_unique` ON `wikis` (`wiki_db_name`);--> statement-breakpoint
CREATE INDEX `idx_wikis_project_lang` ON `wikis` (`project`,`language`);