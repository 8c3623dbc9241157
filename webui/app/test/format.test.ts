import {beforeEach, describe, expect, test} from 'vitest'
import {amount, delay, duration, initials, loss, rate, shares, title, when} from '../src/lib/format.ts'
import {speak} from './words.ts'

// Units stand behind a space that does not break.
const plain = (s: string) => s.replaceAll('\u00a0', ' ')
beforeEach(() => speak('en'))

test.each([[0, '0 Mbit/s'], [40_000, '40 kbit/s'], [99_999, '100 kbit/s'], [100_000, '0.1 Mbit/s'], [9_940_000, '9.9 Mbit/s'], [9_960_000, '10 Mbit/s'], [999_000_000, '999 Mbit/s'], [1_500_000_000, '1.5 Gbit/s']])('a rate of %d bit/s', (bps, want) => {
  expect(plain(rate(bps))).toBe(want)
})
test.each([[0, '0 B'], [999, '999 B'], [1000, '1.0 kB'], [9_949_999, '9.9 MB'], [20e9, '20 GB'], [1.2e12, '1.2 TB']])('an amount of %d bytes', (bytes, want) => {
  expect(plain(amount(bytes))).toBe(want)
})
test.each([[7_400, '7 s'], [59_400, '59 s'], [60_000, '1 min'], [6_480_000, '1 h 48'], [3_600_000, '1 h'], [3 * 864e5, '3 days']])('a duration of %d ms', (ms, want) => {
  expect(plain(duration(ms))).toBe(want)
})

describe('in other languages', () => {
  test('Spanish has a decimal comma', async () => {
    await speak('es')
    expect(plain(rate(3_200_000))).toBe('3,2 Mbit/s')
    expect(plain(loss(0.012))).toBe('1,2 %')
  })
  test('what is not known is said in words', async () => {
    expect(delay(0)).toBe('unknown')
    await speak('zh')
    expect(delay(0)).not.toMatch(/[a-z0-9]/)
  })
})

test('shares of one bar add to 100, whatever they are', () => {
  for (const parts of [[1, 1, 1], [0, 0, 0], [0.1, 0.2, 99], [33.4, 33.3, 33.3], [5]]) {
    const sum = shares(parts).reduce((a, b) => a + b, 0)
    expect(sum).toBe(parts.some((p) => p > 0) ? 100 : 0)
  }
  expect(shares([1, 1, 1]).sort()).toEqual([33, 33, 34])
})

test('moments: today its time, this week its day, older its date', () => {
  const now = new Date(2026, 4, 20, 20, 40)
  expect(when(new Date(2026, 4, 20, 8, 5), now)).toBe('08:05')
  expect(when(new Date(2026, 4, 18, 8, 5), now)).toMatch(/^Mon 08:05$/)
  expect(when(new Date(2025, 0, 2, 8, 5), now)).toMatch(/2025/)
  expect(when('0001-01-01T00:00:00Z', now)).toBe('never')
})

test('technical names as a person writes them', () => {
  expect(title('lte-stick')).toBe('LTE stick')
  expect(title('wifi')).toBe('WiFi')
  expect(title('McDonald')).toBe('McDonald')
  expect(initials('ana maria')).toBe('AM')
})
