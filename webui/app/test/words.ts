// Speaks a language as the page does.
import {speech, type Language} from '../src/lib/text.svelte.ts'

const words = {en: () => import('../src/texts/en.json'), es: () => import('../src/texts/es.json'), zh: () => import('../src/texts/zh.json')}

export async function speak(language: Language) {
  speech.words = (await words[language]()).default
  speech.language = language
  speech.locale = language
}
