// Package app holds the router's page: Svelte and TypeScript in src, texts in src/texts, and in dist what a browser runs, built
// by `go generate` (Node 20.19 or newer) and committed, so that the router builds without Node. Place: the server serves dist at its root;
// the page reads the API beside it. The package owns no state and takes no locks.
//
// The page keeps within the server's content security policy: no inline script or style, nothing from another origin. What the
// network says (names of devices and hosts) reaches the document as text only, never as markup. All words that a person
// reads are in src/texts, one file a language; a missing one fails the build. docs/UI.md says how it is made.
package app
