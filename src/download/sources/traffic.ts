/** Requests under way at each source. */
export interface Traffic {
  /** Begins one. @returns what ends it; ending twice is fine */
  open(sourceId: string): () => void;
  at(sourceId: string): number;
}

/** See `Traffic`. */
export function createTraffic(): Traffic {
  const counts = new Map<string, number>();
  return {
    open(sourceId) {
      counts.set(sourceId, (counts.get(sourceId) ?? 0) + 1);
      let isOpen = true;
      return () => {
        if (isOpen) counts.set(sourceId, (counts.get(sourceId) ?? 1) - 1);
        isOpen = false;
      };
    },
    at: (sourceId) => counts.get(sourceId) ?? 0,
  };
}
