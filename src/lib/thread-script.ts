/**
 * Address of the script of a thread that lies beside a module, in the form in which that module itself runs: TypeScript in the
 * tests, JavaScript once built. Threads of the program never strip types: see decision 0026.
 * @param here `import.meta.url` of the module
 * @param name the script's name without `.worker` and ending
 */
export const threadScript = (here: string, name: string): URL =>
  new URL(`./${name}.worker${here.endsWith('.ts') ? '.ts' : '.js'}`, here);
