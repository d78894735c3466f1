CREATE TABLE `torrent_webseeds` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`torrent_id` integer NOT NULL,
	`url` text NOT NULL,
	`state` text NOT NULL,
	`reason` text,
	`checked_at` integer NOT NULL,
	`since` integer NOT NULL,
	`proved_at` integer,
	`failing_since` integer,
	`failed_looks` integer DEFAULT 0 NOT NULL,
	FOREIGN KEY (`torrent_id`) REFERENCES `torrents`(`id`) ON UPDATE no action ON DELETE cascade,
	CONSTRAINT "torrent_webseeds_state" CHECK("torrent_webseeds"."state" IN ('working','dead','unproved'))
);
--> statement-breakpoint
CREATE UNIQUE INDEX `torrent_webseeds_identity` ON `torrent_webseeds` (`torrent_id`,`url`);--> statement-breakpoint
ALTER TABLE `torrent_files` ADD `md5` text;--> statement-breakpoint
ALTER TABLE `torrent_files` ADD `sha1` text;--> statement-breakpoint
ALTER TABLE `torrent_files` ADD `sha256` text;--> statement-breakpoint
CREATE INDEX `idx_torrent_files_path` ON `torrent_files` (`path_in_torrent`);--> statement-breakpoint
ALTER TABLE `torrents` ADD `info_name` text;--> statement-breakpoint
ALTER TABLE `torrents` ADD `scope` text;--> statement-breakpoint
ALTER TABLE `torrents` ADD `source` text;--> statement-breakpoint
ALTER TABLE `torrents` ADD `run_date` text;--> statement-breakpoint
ALTER TABLE `torrents` ADD `is_uncompressed` integer DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE `torrents` ADD `part` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE INDEX `idx_torrents_info_name` ON `torrents` (`info_name`) WHERE info_name IS NOT NULL;