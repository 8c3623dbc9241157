// What kind of screen this is.

class Media {
  phone = $state(false)
  still = $state(false)
  constructor() {
    const small = matchMedia('(max-width: 700px)'), calm = matchMedia('(prefers-reduced-motion: reduce)')
    this.phone = small.matches
    this.still = calm.matches
    small.addEventListener('change', (e) => (this.phone = e.matches))
    calm.addEventListener('change', (e) => (this.still = e.matches))
  }
}
export const media = new Media()
