// Light, dark, or as the device has it.

export type Theme = 'auto' | 'light' | 'dark'
const STORED = 'trenza.theme'
const dark = matchMedia('(prefers-color-scheme: dark)')

class Look {
  theme = $state<Theme>('auto')
  /** Counts up when colours change, for what is painted on a canvas. */
  changes = $state(0)

  begin() {
    const stored = localStorage.getItem(STORED)
    if (stored === 'light' || stored === 'dark') this.set(stored)
    dark.addEventListener('change', () => this.changes++)
  }

  set(theme: Theme) {
    this.theme = theme
    if (theme === 'auto') {
      delete document.documentElement.dataset.theme
      localStorage.removeItem(STORED)
    } else {
      document.documentElement.dataset.theme = theme
      localStorage.setItem(STORED, theme)
    }
    this.changes++
  }
}
export const look = new Look()
