// Package app holds the router's page: HTML, style and script that a browser runs as they are, without a build step and without
// anything from elsewhere. Place: the server serves these files at its root; they read the API beside them. The package
// owns no state and takes no locks.
//
// The page keeps within the server's content security policy: no inline script or style, nothing from another origin. What the
// network says (names of devices and hosts) reaches the document as text only, never as markup. All words that a person
// reads are in text.js, so that another language is another such file.
package app
