package engine

import (
	"fmt"
	"path/filepath"

	"github.com/trenza-router/trenza/router/catalog"
	"github.com/trenza-router/trenza/router/catalog/edition"
	"github.com/trenza-router/trenza/router/config"
	"github.com/trenza-router/trenza/router/observe"
)

// Editions is where a router keeps the editions of the catalogue that it was given, and whose it takes.
func Editions(c config.Config) (edition.Store, error) {
	key, err := edition.Maintainer()
	if err != nil {
		return edition.Store{}, err
	}
	s := edition.Store{Dir: filepath.Join(c.State, "catalog")}
	s.Keys = append(s.Keys, key)
	for _, text := range c.CatalogKeys {
		key, err := edition.ParseKey(text)
		if err != nil {
			return edition.Store{}, fmt.Errorf("catalog_keys: %w", err)
		}
		s.Keys = append(s.Keys, key)
	}
	return s, nil
}

// Catalog loads the applications as a router of that configuration knows them: the newest edition with the household's own files
// over it. What could not be read is told and left out.
func Catalog(c config.Config) (*catalog.Catalog, []error, error) {
	builtIn, err := catalog.BuiltIn()
	if err != nil {
		return nil, nil, err
	}
	editions, err := Editions(c)
	if err != nil {
		return nil, nil, err
	}
	apps, problems := editions.Load(builtIn)
	if c.Catalog == "" {
		return apps, problems, nil
	}
	apps, more := apps.Overlay(c.Catalog)
	return apps, append(problems, more...), nil
}

// warnCatalog tells what of the catalogue could not be read.
func (e *Engine) warnCatalog(problems []error) {
	for _, p := range problems {
		e.log.Warn("reading the catalogue of applications", "problem", p)
	}
	if len(problems) == 0 {
		return
	}
	text := fmt.Sprintf("A part of the catalogue of applications is left out: %v", problems[0])
	if n := len(problems) - 1; n > 0 {
		text += fmt.Sprintf(" (and %d more problems)", n)
	}
	e.health.Set(observe.Warning{Code: "catalog", Severity: observe.Warn, Text: text,
		Fix: "Mend the file, look with \"trenza catalog check\", and start the router again."})
}
