// Makes src/lib/texts.gen.ts from the English texts: every key with the values that its words want. Fails when another
// language lacks a key or a value, or has one that English does not have. later.*.json are the words that are fetched after the first screen.
import {readFileSync, readdirSync, writeFileSync} from 'node:fs'

const dir = new URL('../src/texts/', import.meta.url)
const read = (name) => JSON.parse(readFileSync(new URL(name, dir), 'utf8'))
const forms = (words) => (typeof words === 'string' ? [words] : Object.values(words))
// The form of a plural is chosen by n, also where no form says it.
const values = (words) => [...new Set([...(typeof words === 'string' ? [] : ['n']), ...forms(words).flatMap((w) => [...w.matchAll(/\{(\w+)\}/g)].map((m) => m[1]))])].sort()

const files = readdirSync(dir).filter((f) => f.endsWith('.json'))
const english = {...read('en.json'), ...read('later.en.json')}
const problems = []
for (const file of files) {
  const language = file.split('.').at(-2)
  const texts = read(file)
  const model = file.startsWith('later.') ? 'later.en.json' : 'en.json'
  const expected = read(model)
  const plurals = new Intl.PluralRules(language).resolvedOptions().pluralCategories
  for (const key of Object.keys(expected)) if (!(key in texts)) problems.push(`${file}: ${key} is missing`)
  for (const [key, words] of Object.entries(texts)) {
    if (!(key in expected)) problems.push(`${file}: ${key} is not in ${model}`)
    else if (String(values(words)) !== String(values(expected[key]))) problems.push(`${file}: ${key} wants {${values(words)}}, in English {${values(expected[key])}}`)
    if (forms(words).some((w) => typeof w !== 'string' || !w.trim())) problems.push(`${file}: ${key} is empty`)
    if (typeof words !== 'string' && !('other' in words)) problems.push(`${file}: ${key} lacks the form "other"`)
    if (typeof words !== 'string') for (const form of Object.keys(words)) if (!plurals.includes(form)) problems.push(`${file}: ${key}: ${language} has no plural "${form}"`)
  }
}
const twice = Object.keys(read('later.en.json')).filter((key) => key in read('en.json'))
if (twice.length) problems.push(`in both files of a language: ${twice}`)
if (problems.length) {
  console.error(problems.join('\n'))
  process.exit(1)
}
const type = (key) => {
  const names = values(english[key])
  return names.length ? `{${names.map((n) => `${n}: ${n === 'n' ? 'number' : 'string | number'}`).join('; ')}}` : 'undefined'
}
writeFileSync(new URL('../src/lib/texts.gen.ts', import.meta.url),
  `// Made by build/texts.mjs from src/texts/en.json. Do not edit.\n\nexport interface Texts {\n${Object.keys(english).map((k) => `  '${k}': ${type(k)}`).join('\n')}\n}\n`)
