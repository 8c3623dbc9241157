import {expect, test} from 'vitest'
import en from '../src/texts/en.json'
import es from '../src/texts/es.json'
import laterEn from '../src/texts/later.en.json'
import laterEs from '../src/texts/later.es.json'
import laterZh from '../src/texts/later.zh.json'
import zh from '../src/texts/zh.json'

const slots = (words: string | Record<string, string>) => [...new Set((typeof words === 'string' ? [words] : Object.values(words)).flatMap((w) => w.match(/\{\w+\}/g) ?? []))].sort()

test.each([['es', es, en], ['zh', zh, en], ['later es', laterEs, laterEn], ['later zh', laterZh, laterEn]] as const)('%s has every key with every value, and words of its own', (_, other, en) => {
  expect(Object.keys(other).sort()).toEqual(Object.keys(en).sort())
  const texts = other as Record<string, string | Record<string, string>>, english = en as Record<string, string | Record<string, string>>
  let same = 0
  for (const [key, words] of Object.entries(english)) {
    expect(slots(texts[key]).filter((s) => s !== '{n}'), key).toEqual(slots(words).filter((s) => s !== '{n}'))
    if (JSON.stringify(texts[key]) === JSON.stringify(words)) same++
  }
  expect(same / Object.keys(english).length, 'words that are still English').toBeLessThan(0.05)
})
