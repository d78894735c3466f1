import type { Script } from './language-table.ts';
import type { SeededRandom } from './random.ts';

const syllables: Record<Script, readonly string[]> = {
  latin:
    'ba be ca co da de do el en er fa ga ha in ka la le lo ma mi mo na ne no or pa ra re ri ro sa se si sta ta te ti to tra un va ve vi'.split(
      ' ',
    ),
  cyrillic:
    'ба бе ва во га да до ел ен ер за ка ко ла ло ма ми на не но об па пр ра ре ро са се ста та те ти то у ход че ша'.split(
      ' ',
    ),
  arabic: 'ال با بي تا جا حا دا را سا شا صا طا عا فا قا كا لا ما نا ها وا يا مد بر'.split(' '),
  han: '山 水 人 大 小 中 上 下 天 地 日 月 年 国 城 北 南 西 东 文 学 书 历 史 海 江 河 花 木 石 金 火 土 心 手'.split(
    ' ',
  ),
  devanagari: 'का की के को गा जा ता ती ते दा ना नी ने पा बा भा मा मी रा री ला वा सा ही हा'.split(' '),
  greek:
    'αλ αν βα γα δε ελ εν ερ θα κα κο λα λο μα με μι να νε νο πα πο ρα ρε σα στα τα τε τη το φω χω'.split(
      ' ',
    ),
};

const smallWords =
  'the of and in to a is was for as on by with from at it that its an are were be this or which'.split(' ');

/** A seeded vocabulary of one script: `count` different words, usable for titles and text. */
export function vocabulary(random: SeededRandom, script: Script, count: number): string[] {
  const words = new Set<string>();
  while (words.size < count) {
    let word = '';
    for (let i = random.between(2, script === 'han' ? 3 : 4); i > 0; i -= 1)
      word += random.pick(syllables[script]);
    words.add(word);
  }
  return [...words];
}

const capital = (word: string): string => word.slice(0, 1).toUpperCase() + word.slice(1);

/** A page title without its namespace; unique titles are the caller's care. Some hold the characters that break parsers. */
export function titleOf(random: SeededRandom, words: readonly string[]): string {
  const first = capital(random.pick(words));
  const second = random.pick(words);
  switch (random.below(12)) {
    case 0:
      return `${first} & ${capital(second)}`;
    case 1:
      return `${first}: ${capital(second)} (${random.between(1200, 2025)})`;
    case 2:
      return `${first}'s "${second}"`;
    case 3:
      return first;
    default:
      return `${first} ${second} ${random.pick(words)}`;
  }
}

/** A word, often a common one: skewed as natural text is, so that it compresses about as text does. */
function word(random: SeededRandom, words: readonly string[]): string {
  if (random.next() < 0.35) return random.pick(smallWords);
  const skewed = random.next();
  return words[Math.floor(skewed * skewed * words.length)] as string;
}

function sentence(random: SeededRandom, words: readonly string[]): string {
  const parts: string[] = [capital(word(random, words))];
  for (let i = random.between(6, 18); i > 0; i -= 1) {
    const next = word(random, words);
    const shape = random.below(60);
    if (shape < 3) parts.push(`[[${capital(next)}]]`);
    else if (shape === 3) parts.push(`[[${capital(next)} ${word(random, words)}|${next}]]`);
    else if (shape === 4) parts.push(`'''${next}'''`);
    else if (shape === 5) parts.push(String(random.between(1, 2025)));
    else parts.push(next);
  }
  const note =
    random.below(14) === 0
      ? `<ref>{{cite web|title=${word(random, words)}|year=${random.between(1990, 2025)}}}</ref>`
      : '';
  return `${parts.join(' ')}.${note}`;
}

/** Wikitext of at least `bytesMin` bytes and at most a sentence more: sections, links, templates, references. */
export function wikitext(random: SeededRandom, words: readonly string[], bytesMin: number): string {
  const out: string[] = [];
  let bytes = 0;
  const add = (text: string): void => {
    out.push(text);
    bytes += Buffer.byteLength(text);
  };
  while (bytes < bytesMin) {
    if (out.length > 0) add(`\n== ${capital(word(random, words))} ==\n`);
    for (let i = random.between(2, 6); i > 0 && bytes < bytesMin; i -= 1) add(`${sentence(random, words)} `);
    if (random.below(8) === 0 && bytes < bytesMin)
      add(`\n* ${sentence(random, words)}\n* ${sentence(random, words)}\n`);
  }
  return out.join('').trimEnd();
}
