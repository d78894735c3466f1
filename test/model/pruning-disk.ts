import type { Disk, FileFacts } from '../../src/ports/index.ts';

/** Bytes in small: a word stands for them, so that whoever compares two words compares the bytes. */
export interface Inode {
  number: number;
  bytes: string;
  sizeBytes: number;
  mtimeMs: number;
}

/** What a process meets when it calls the disk. */
export interface Gate {
  /** Before and after each call; may throw, and then nothing (more) is done. */
  before(call: 'read' | 'change' | 'sync', path: string): void;
  after(call: 'read' | 'change' | 'sync', path: string): void;
  /** Where a process waits long enough for others to do something. */
  pause(): Promise<void>;
  /** A name is about to go. */
  removing(path: string, inode: Inode): void;
  removed(path: string): void;
}

const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/'));

/** A file system in memory with hard links, and with changes that are lost when the power goes before they were made durable. */
export class SmallDisk {
  readonly names = new Map<string, Inode>();
  readonly folders = new Set<string>();
  /** A mount that is missing: nothing of these folders is there, or only the folders. */
  hidden: 'no' | 'absent' | 'empty' = 'no';
  private readonly mounted: readonly string[];
  private undurable: { path: string; before: Inode | undefined }[] = [];
  private count = 0;

  constructor(mounted: readonly string[]) {
    this.mounted = mounted;
    for (const folder of mounted) this.folders.add(folder);
  }

  /** Somebody writes a file; a name that is there gets new bytes of its own. */
  write(path: string, bytes: string, sizeBytes: number): Inode {
    this.count += 1;
    const inode = { number: this.count, bytes, sizeBytes, mtimeMs: this.count };
    this.names.set(path, inode);
    return inode;
  }

  /** Changes bytes under all their names. */
  change(inode: Inode, bytes: string, isTimeKept: boolean): void {
    this.count += 1;
    inode.bytes = bytes;
    if (!isTimeKept) inode.mtimeMs = this.count;
  }

  namesOf(inode: Inode): string[] {
    return [...this.names].flatMap(([path, one]) => (one === inode ? [path] : []));
  }

  /** Changes of names that were not made durable are lost, or not: one bit for each, the newest first. */
  cutPower(bits: number): number {
    let lost = 0;
    this.undurable.reverse().forEach(({ path, before }, index) => {
      if ((bits & (1 << (index % 16))) === 0) return;
      lost += 1;
      if (before === undefined) this.names.delete(path);
      else this.names.set(path, before);
    });
    this.undurable = [];
    return lost;
  }

  settle(): void {
    this.undurable = [];
  }

  private isHidden(path: string): boolean {
    if (this.hidden === 'no') return false;
    return this.mounted.some(
      (folder) => path.startsWith(`${folder}/`) || (path === folder && this.hidden === 'absent'),
    );
  }

  private isFolder(path: string): boolean {
    if (this.folders.has(path)) return true;
    for (const name of this.names.keys()) if (name.startsWith(`${path}/`)) return true;
    return false;
  }

  statSync(path: string): FileFacts | null {
    if (this.isHidden(path)) return null;
    const inode = this.names.get(path);
    if (inode !== undefined) {
      const { sizeBytes, mtimeMs, number } = inode;
      let linkCount = 0;
      for (const one of this.names.values()) if (one === inode) linkCount += 1;
      return {
        ...{ sizeBytes, allocatedBytes: sizeBytes, mtimeMs, linkCount, inode: number },
        ...{ isDirectory: false, isFile: true },
      };
    }
    if (!this.isFolder(path)) return null;
    return {
      ...{ sizeBytes: 0, allocatedBytes: 0, mtimeMs: 0, linkCount: 1, inode: 0 },
      ...{ isDirectory: true, isFile: false },
    };
  }

  /** What was in a folder that is gone goes with the folder's own name. */
  private isMadeDurable(changed: string, synced: string): boolean {
    if (folderOf(changed) === synced) return true;
    if (!changed.startsWith(`${synced}/`)) return false;
    const child = changed.slice(synced.length + 1).split('/')[0];
    return !this.isFolder(`${synced}/${child}`);
  }

  private keep(path: string): void {
    this.undurable.push({ path, before: this.names.get(path) });
    // A folder stays when its last name goes.
    this.folders.add(folderOf(path));
  }

  /** The disk as one process has it. What is not asked of it here, pruning has no business with. */
  forProcess(gate: Gate): Disk {
    const call = <T>(kind: 'read' | 'change' | 'sync', path: string, act: () => T): T => {
      gate.before(kind, path);
      const result = act();
      gate.after(kind, path);
      return result;
    };
    const removeOne = (path: string): void => {
      const inode = this.names.get(path);
      if (inode === undefined) return;
      gate.removing(path, inode);
      this.keep(path);
      this.names.delete(path);
      gate.removed(path);
    };
    const refuse = (): never => {
      throw new Error('pruning has no business here');
    };
    return {
      stat: async (path) => call('read', path, () => this.statSync(path)),
      // There are no symbolic links on it.
      realPath: async (path) => call('read', path, () => (this.statSync(path) === null ? null : path)),
      list: async (path) => {
        await gate.pause();
        return call('read', path, () => {
          if (this.isHidden(path) || this.hidden !== 'no') return [];
          const found = new Set<string>();
          for (const name of [...this.names.keys(), ...this.folders])
            if (name.startsWith(`${path}/`)) found.add(name.slice(path.length + 1).split('/')[0] as string);
          return [...found].sort();
        });
      },
      makeDirectory: async (path) => call('change', path, () => void this.folders.add(path)),
      link: async (from, to) =>
        call('change', to, () => {
          const inode = this.names.get(from);
          if (inode === undefined || !this.isFolder(folderOf(to)))
            throw Object.assign(new Error(`ENOENT: no ${from}, or no folder for ${to}`), { code: 'ENOENT' });
          if (this.names.has(to)) throw Object.assign(new Error(`there is ${to}`), { code: 'EEXIST' });
          this.keep(to);
          this.names.set(to, inode);
        }),
      remove: async (path) =>
        call('change', path, () => {
          if (!this.isHidden(path)) removeOne(path);
        }),
      removeTree: async (path) => {
        if (this.isHidden(path)) return;
        // One by one, so that it can break off in the middle.
        for (const name of [...this.names.keys()])
          if (name.startsWith(`${path}/`)) call('change', name, () => removeOne(name));
        for (const folder of [...this.folders])
          if (folder === path || folder.startsWith(`${path}/`)) this.folders.delete(folder);
      },
      removeEmpty: async () => {},
      syncDirectory: async (path) => {
        call('sync', path, () => {
          this.undurable = this.undurable.filter((change) => !this.isMadeDurable(change.path, path));
        });
        await gate.pause();
      },
      open: refuse,
      allocate: refuse,
      readText: refuse,
      rename: refuse,
      chmod: refuse,
      space: refuse,
      isWritable: refuse,
    };
  }
}
