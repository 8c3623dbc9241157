// Package page drives the page with a browser, against the daemon in a lab with real traffic. The steps of the browser are
// webui/app/e2e; here is the house around them, and the lab's side of what they ask: flows to start, and what servers saw.
package page
