CREATE TABLE `torrent_webseeds` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`torrent_id` integer NOT NULL,
	`url` text NOT NULL,
	`state` text NOT NULL,
	`reason` text,
	`checked_at` integer NOT NULL,
	`since` integer NOT NULL,
	FOREIGN KEY (`torrent_id`) REFERENCES `torrents`(`id`) ON UPDATE no action ON DELETE cascade,
	CONSTRAINT "torrent_webseeds_state" CHECK("torrent_webseeds"."state" IN ('working','dead','unproved'))
);
--> statement-breakpoint
CREATE UNIQUE INDEX `torrent_webseeds_identity` ON `torrent_webseeds` (`torrent_id`,`url`);--> statement-breakpoint
ALTER TABLE `torrent_files` ADD `md5` text;--> statement-breakpoint
ALTER TABLE `torrent_files` ADD `sha1` text;--> statement-breakpoint
ALTER TABLE `torrent_files` ADD `sha256` text;--> statement-breakpoint
ALTER TABLE `torrents` ADD `info_name` text;--> statement-breakpoint
ALTER TABLE `torrents` ADD `scope` text;--> statement-breakpoint
ALTER TABLE `torrents` ADD `source` text;--> statement-breakpoint
ALTER TABLE `torrents` ADD `run_date` text;--> statement-breakpoint
ALTER TABLE `torrents` ADD `is_uncompressed` integer DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE `torrents` ADD `part` integer DEFAULT 0 NOT NULL;