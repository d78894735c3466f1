CREATE TABLE `run_documents` (
	`run_id` integer PRIMARY KEY NOT NULL,
	`document` blob NOT NULL,
	`digest` text,
	`etag` text,
	`last_modified` text,
	`asked_at` integer,
	FOREIGN KEY (`run_id`) REFERENCES `dump_runs`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE TABLE `dump_replacements` (
	`dump_id` integer PRIMARY KEY NOT NULL,
	`kind` text NOT NULL,
	`size_bytes` integer,
	`md5` text,
	`sha1` text,
	`sha256` text,
	`found_at` integer NOT NULL,
	`failed_at` integer,
	FOREIGN KEY (`dump_id`) REFERENCES `dumps`(`id`) ON UPDATE no action ON DELETE cascade,
	CONSTRAINT "dump_replacements_kind" CHECK("dump_replacements"."kind" IN ('replaced','withdrawn'))
);
--> statement-breakpoint
CREATE TABLE `torrent_gaps` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`torrent_id` integer NOT NULL,
	`wiki_db_name` text NOT NULL,
	`source` text NOT NULL,
	`run_date` text NOT NULL,
	`dump_type` text NOT NULL,
	`filename` text,
	`size_bytes` integer,
	`state` text NOT NULL,
	`reason` text NOT NULL,
	FOREIGN KEY (`torrent_id`) REFERENCES `torrents`(`id`) ON UPDATE no action ON DELETE cascade,
	CONSTRAINT "torrent_gaps_state" CHECK("torrent_gaps"."state" IN ('not_included','failed_upstream','missing','quarantined','not_offered'))
);
--> statement-breakpoint
CREATE INDEX `idx_torrent_gaps_torrent` ON `torrent_gaps` (`torrent_id`);--> statement-breakpoint
ALTER TABLE `torrent_files` ADD `verification` text;--> statement-breakpoint
ALTER TABLE `torrents` ADD `supplement` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `torrents` ADD `payload_version` text DEFAULT '1.0' NOT NULL;--> statement-breakpoint
ALTER TABLE `wikis` ADD `dumped_seen_at` integer;--> statement-breakpoint
ALTER TABLE `wikis` ADD `oldest_run_date` text;--> statement-breakpoint
ALTER TABLE `wikis` ADD `oldest_run_seen_at` integer;--> statement-breakpoint
ALTER TABLE `wikis` ADD `page_count` integer;--> statement-breakpoint
CREATE INDEX `idx_dumps_text` ON `dumps` (`wiki_db_name`,`cycle_date`) WHERE dump_type IN ('pages-articles','pages-meta-current','pages-meta-history');--> statement-breakpoint
ALTER TABLE `cycles` ADD `is_postponed` integer DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE `dumps` ADD `failed_at` integer;--> statement-breakpoint
ALTER TABLE `dumps` ADD `missing_since` integer;--> statement-breakpoint
ALTER TABLE `dump_runs` ADD `may_change` integer DEFAULT false NOT NULL;--> statement-breakpoint
INSERT INTO `run_documents` (`run_id`, `document`) SELECT `id`, CAST(`last_good_status` AS blob) FROM `dump_runs` WHERE `last_good_status` IS NOT NULL;--> statement-breakpoint
ALTER TABLE `dump_runs` DROP COLUMN `last_good_status`;