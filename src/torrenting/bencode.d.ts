/** The part of bencode 4 that we use; the package carries no types. */
declare module 'bencode' {
  type Bencodable =
    | string
    | number
    | Uint8Array
    | readonly Bencodable[]
    | { readonly [key: string]: Bencodable };
  const bencode: {
    /** Dictionary keys come out sorted; strings as UTF-8. */
    encode(data: Bencodable): Uint8Array;
    /** Strings come out as bytes, dictionaries as plain objects. Throws for what is no bencode. */
    decode(data: Uint8Array): unknown;
  };
  export default bencode;
}
