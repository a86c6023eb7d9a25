// Package torture puts lanseal through more faults than a router sees in its
// life: random walks over everything that package threats can break, each in a
// lab of its own, several side by side. A walk is decided by its seed, so one
// that failed can be walked again.
package torture
