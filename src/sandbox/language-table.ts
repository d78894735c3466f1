/** Which letters a wiki's titles and short pages are written in. */
export type Script = 'latin' | 'cyrillic' | 'arabic' | 'han' | 'devanagari' | 'greek';

/** A language as the site matrix has it: own name, English name, direction; and its letters. */
export interface LanguageFacts {
  name: string;
  localname: string;
  dir: 'ltr' | 'rtl';
  script: Script;
}

/** Languages of the small worlds, with a wiki in nearly every project. */
const FIRST: readonly (readonly [string, string, string, Script])[] = [
  ['en', 'English', 'English', 'latin'],
  ['aa', 'Qafár af', 'Afar', 'latin'],
  ['be-x-old', 'беларуская (тарашкевіца)', 'Belarusian (Taraškievica orthography)', 'cyrillic'],
  ['fr', 'français', 'French', 'latin'],
  ['de', 'Deutsch', 'German', 'latin'],
  ['zh-yue', '粵語', 'Cantonese', 'han'],
  ['es', 'español', 'Spanish', 'latin'],
  ['ja', '日本語', 'Japanese', 'han'],
  ['ru', 'русский', 'Russian', 'cyrillic'],
  ['it', 'italiano', 'Italian', 'latin'],
  ['ar', 'العربية', 'Arabic', 'arabic'],
  ['pt', 'português', 'Portuguese', 'latin'],
  ['el', 'Ελληνικά', 'Greek', 'greek'],
  ['hi', 'हिन्दी', 'Hindi', 'devanagari'],
  ['pl', 'polski', 'Polish', 'latin'],
  ['uk', 'українська', 'Ukrainian', 'cyrillic'],
  ['nl', 'Nederlands', 'Dutch', 'latin'],
  ['zh', '中文', 'Chinese', 'han'],
  ['fa', 'فارسی', 'Persian', 'arabic'],
  ['sv', 'svenska', 'Swedish', 'latin'],
];

/**
 * The other languages in the order in which projects open in them, with their English names; scripts that the page writer
 * does not know are written in Latin letters.
 */
const FURTHER: readonly (readonly [Script, string])[] = [
  [
    'latin',
    `ca Catalan, cs Czech, fi Finnish, tr Turkish, vi Vietnamese, hu Hungarian, ro Romanian, id Indonesian, da Danish, no Norwegian,
    simple Simple English, eo Esperanto, eu Basque, sk Slovak, lt Lithuanian, hr Croatian, sl Slovenian, gl Galician, et Estonian,
    nn Norwegian Nynorsk, la Latin, ms Malay, az Azerbaijani, cy Welsh, is Icelandic, sq Albanian, lv Latvian, af Afrikaans,
    oc Occitan, br Breton, bs Bosnian, tl Tagalog, ast Asturian, sh Serbo-Croatian, ko Korean, he Hebrew, th Thai, ta Tamil,
    te Telugu, bn Bengali, ka Georgian, hy Armenian, ml Malayalam, kn Kannada, gu Gujarati, km Khmer, my Burmese, si Sinhala,
    pa Punjabi, lo Lao, am Amharic, sw Swahili, uz Uzbek, fy West Frisian, lb Luxembourgish, ga Irish, scn Sicilian,
    als Alemannic, war Waray, ceb Cebuano, jv Javanese, su Sundanese, mt Maltese, fo Faroese, ia Interlingua, io Ido, ku Kurdish,
    nah Nahuatl, qu Quechua, an Aragonese, co Corsican, wa Walloon, nds Low German, li Limburgish, yo Yoruba, zu Zulu, xh Xhosa,
    st Southern Sotho, tn Tswana, ts Tsonga, ss Swazi, so Somali, rw Kinyarwanda, om Oromo, mg Malagasy, mi Maori, ha Hausa,
    ig Igbo, ht Haitian Creole, gn Guarani, gd Scottish Gaelic, gv Manx, kw Cornish, vo Volapük, ie Interlingue, jbo Lojban,
    hsb Upper Sorbian, tk Turkmen, tt Tatar, ug Uyghur, ang Old English, na Nauruan, ay Aymara, kl Kalaallisut, sm Samoan,
    sg Sango, wo Wolof, za Zhuang, bo Tibetan, dv Divehi, iu Inuktitut, ti Tigrinya, or Odia, as Assamese, chr Cherokee, ln Lingala,
    sn Shona, rn Rundi, fj Fijian, bi Bislama, tpi Tok Pisin, to Tongan, ty Tahitian, ik Inupiaq, cr Cree, ch Chamorro, mh Marshallese,
    ak Akan, tw Twi, bm Bambara, ee Ewe, ff Fula, ki Kikuyu, kg Kongo, lg Ganda, ny Chichewa, ve Venda, rm Romansh, sc Sardinian,
    fur Friulian, vec Venetian, lmo Lombard, pms Piedmontese, nap Neapolitan, lij Ligurian, eml Emilian-Romagnol, frp Arpitan,
    pcd Picard, nrm Norman, vls West Flemish, zea Zeelandic, nds-nl Low Saxon, ksh Colognian, bar Bavarian, pfl Palatine German,
    pdc Pennsylvania German, stq Saterland Frisian, frr Northern Frisian, dsb Lower Sorbian, csb Kashubian, szl Silesian,
    ltg Latgalian, bat-smg Samogitian, fiu-vro Võro, vep Veps, olo Livvi-Karelian, se Northern Sami, smn Inari Sami,
    sco Scots, lad Ladino, ext Extremaduran, mwl Mirandese, pap Papiamento, srn Sranan Tongo, jam Jamaican Creole, gcr Guianan Creole,
    ilo Iloko, pag Pangasinan, pam Kapampangan, bcl Central Bikol, cbk-zam Chavacano, min Minangkabau, ban Balinese, bjn Banjar,
    ace Acehnese, bug Buginese, mad Madurese, nia Nias, gor Gorontalo, map-bms Banyumasan, tet Tetum, haw Hawaiian, pih Norfuk,
    ho Hiri Motu, kj Kuanyama, ng Ndonga, hz Herero, kr Kanuri, cho Choctaw, mus Muscogee, chy Cheyenne, nv Navajo, atj Atikamekw,
    din Dinka, kbp Kabiye, kab Kabyle, shi Tachelhit, tum Tumbuka, nso Northern Sotho, fon Fon, gur Frafra, dag Dagbani, guw Gun,
    gpe Ghanaian Pidgin, pcm Nigerian Pidgin, kcg Tyap, igl Igala, ann Obolo, nup Nupe, fat Fanti, kus Kusaal, mos Mooré, tly Talysh,
    gag Gagauz, crh Crimean Tatar, kaa Kara-Kalpak, diq Zazaki, avk Kotava, nov Novial, lfn Lingua Franca Nova, rmy Vlax Romani,
    roa-rup Aromanian, roa-tara Tarantino, lld Ladin, pi Pali, got Gothic, arc Aramaic, mnw Mon, shn Shan, blk Pa'O, sat Santali,
    mni Manipuri, tcy Tulu, bpy Bishnupriya, szy Sakizaya, ami Amis, trv Seediq, pwn Paiwan, tay Atayal, tdd Tai Nüa, cdo Eastern Min,
    hak Hakka, zh-min-nan Minnan, xmf Mingrelian, hyw Western Armenian, nqo N'Ko, zgh Standard Moroccan Tamazight, yi Yiddish,
    guc Wayuu, hif Fiji Hindi, bew Betawi, btm Batak Mandailing, iba Iban, dtp Central Dusun, bdr West Coast Bajau, kge Komering,
    dga Southern Dagaare, rsk Pannonian Rusyn, tig Tigre, knc Central Kanuri, nr South Ndebele, syl Sylheti, kai Karekare, bbc Batak Toba,
    mwv Mentawai, tok Toki Pona, sma Southern Sami, kea Kabuverdianu, aai Miniafia, cps Capiznon, hil Hiligaynon, mak Makasar,
    sas Sasak, ota Ottoman Turkish, liv Livonian, krl Karelian, izh Ingrian, sju Ume Sami, sje Pite Sami, prg Prussian`,
  ],
  [
    'cyrillic',
    `sr Serbian, bg Bulgarian, mk Macedonian, be Belarusian, kk Kazakh, ky Kyrgyz, mn Mongolian, tg Tajik, ba Bashkir, cv Chuvash,
    os Ossetic, ce Chechen, sah Sakha, udm Udmurt, mhr Eastern Mari, mrj Western Mari, myv Erzya, mdf Moksha, kv Komi,
    koi Komi-Permyak, bxr Buriat, xal Kalmyk, tyv Tuvinian, alt Southern Altai, ab Abkhazian, av Avar, lez Lezghian, lbe Lak,
    inh Ingush, kbd Kabardian, ady Adyghe, krc Karachay-Balkar, rue Rusyn, cu Church Slavic, mo Moldovan`,
  ],
  [
    'arabic',
    `ur Urdu, arz Egyptian Arabic, ckb Central Kurdish, ps Pashto, sd Sindhi, azb South Azerbaijani, pnb Western Punjabi, ary Moroccan Arabic,
    mzn Mazanderani, glk Gilaki, lrc Northern Luri, skr Saraiki, ks Kashmiri`,
  ],
  [
    'devanagari',
    'mr Marathi, ne Nepali, sa Sanskrit, new Newari, bh Bhojpuri, mai Maithili, awa Awadhi, gom Konkani, dty Doteli, anp Angika',
  ],
  ['han', 'wuu Wu, gan Gan, zh-classical Classical Chinese, ii Sichuan Yi'],
  ['greek', 'pnt Pontic'],
];

/** Names of the languages, those of the small worlds first. */
export const languages: ReadonlyMap<string, LanguageFacts> = new Map([
  ...FIRST.map(([code, name, localname, script]) => [code, facts(name, localname, script)] as const),
  ...FURTHER.flatMap(([script, list]) =>
    list.split(',').map((entry) => {
      const [code = '', ...words] = entry.trim().split(' ');
      const name = words.join(' ');
      return [code, facts(name, name, script)] as const;
    }),
  ),
]);

/** Codes of the small worlds' languages. */
export const firstLanguages: readonly string[] = FIRST.map(([code]) => code);

function facts(name: string, localname: string, script: Script): LanguageFacts {
  return { name, localname, dir: script === 'arabic' ? 'rtl' : 'ltr', script };
}
