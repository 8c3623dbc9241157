// The words of the page in the language of the person. A key that does not exist, or lacks a value, does not compile.
import type {Texts} from './texts.gen.ts'

export type Key = keyof Texts
/** Keys whose words want no values. */
export type PlainKey = {[K in Key]: Texts[K] extends undefined ? K : never}[Key]

type Words = Record<string, string | Partial<Record<Intl.LDMLPluralRule, string>>>

const loaders = {
  en: () => import('../texts/en.json'),
  es: () => import('../texts/es.json'),
  zh: () => import('../texts/zh.json'),
}
/** Words that no first visit needs: those of screens that are fetched when they are opened. */
const later = {
  en: () => import('../texts/later.en.json'),
  es: () => import('../texts/later.es.json'),
  zh: () => import('../texts/later.zh.json'),
}
export type Language = keyof typeof loaders

/** Every language by the name that its speakers give it. */
export const languages: {id: Language; name: string}[] = [{id: 'en', name: 'English'}, {id: 'es', name: 'Español'}, {id: 'zh', name: '中文'}]

const STORED = 'trenza.language'

class Speech {
  language = $state<Language>('en')
  /** The locale of numbers and dates: the browser's own variant of the language, such as es-MX. */
  locale = $state('en')
  words = $state.raw<Words>({})
  /** The later words are here, too. */
  whole = false
}
export const speech = new Speech()

/** What the person chose before, else the browser's first language that the page speaks, else English. */
export function preferred(stored: string | null, wanted: readonly string[]): Language {
  const known = (id: string | null | undefined): id is Language => !!id && id in loaders
  if (known(stored)) return stored
  return wanted.map((w) => w.toLowerCase().split('-')[0]).find(known) ?? 'en'
}

export async function speak(language: Language, keep = false): Promise<void> {
  const [first, rest] = await Promise.all([loaders[language](), speech.whole ? later[language]() : undefined])
  speech.words = {...first.default, ...rest?.default} as Words
  speech.language = language
  speech.locale = navigator.languages.find((l) => l.toLowerCase().split('-')[0] === language) ?? language
  document.documentElement.lang = language === 'zh' ? 'zh-Hans' : language
  if (keep) localStorage.setItem(STORED, language)
}

/** Fetches the later words; a screen that says them waits for it. */
export async function whole(): Promise<void> {
  while (!speech.whole) {
    const language = speech.language
    const rest = (await later[language]()).default as Words
    if (language !== speech.language) continue
    speech.words = {...speech.words, ...rest}
    speech.whole = true
  }
}

export const begin = () => speak(preferred(localStorage.getItem(STORED), navigator.languages))

export function fill(words: string, values: Record<string, string | number>): string {
  return words.replace(/\{(\w+)\}/g, (all, name: string) => String(values[name] ?? all))
}

export function t<K extends Key>(key: K, ...[values]: Texts[K] extends undefined ? [] : [Texts[K]]): string {
  const given = (values ?? {}) as Record<string, string | number>
  let words = speech.words[key] ?? key
  if (typeof words === 'object') {
    const n = Number(given.n)
    words = words[new Intl.PluralRules(speech.language).select(n)] ?? words.other ?? key
    return fill(words, {...given, n: new Intl.NumberFormat(speech.locale).format(n)})
  }
  return fill(words, given)
}

/** The words of a key that is put together from what the router said; undefined if there are none. */
export function said(prefix: string, name: string): string | undefined {
  const words = speech.words[`${prefix}.${name}`]
  return typeof words === 'string' ? words : undefined
}

/** "a, b and c". */
export const joined = (items: string[]) => new Intl.ListFormat(speech.locale, {type: 'conjunction'}).format(items)
/** "a, b or c". */
export const either = (items: string[]) => new Intl.ListFormat(speech.locale, {type: 'disjunction'}).format(items)
