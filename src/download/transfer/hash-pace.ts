/** When a file that is being repaired is hashed again. */
export interface HashPace {
  /** A segment was asked for again. True when the file was hashed and is right. */
  note(found: 'same' | 'replaced'): Promise<boolean>;
  /** Nothing is left to ask for. True when the file was hashed and is right. */
  end(): Promise<boolean>;
}

/**
 * After the first replaced segment at once, because most often it is the only one; then after 2, 4, 8 … segments that were asked
 * for, as soon as one of them was replaced. So a file is read a dozen times at most, whoever lied how often, and not many more
 * segments travel than had to before it was found to be right.
 * @param isRight reads the whole file
 */
export function createHashPace(isRight: () => Promise<boolean>): HashPace {
  let askedSince = 0;
  let isReplaced = false;
  let patience = 1;

  function hash(): Promise<boolean> {
    askedSince = 0;
    isReplaced = false;
    patience *= 2;
    return isRight();
  }

  return {
    async note(found) {
      askedSince += 1;
      isReplaced ||= found === 'replaced';
      return isReplaced && askedSince >= patience && (await hash());
    },
    end: async () => isReplaced && (await hash()),
  };
}
