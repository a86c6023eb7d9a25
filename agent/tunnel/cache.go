package tunnel

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Cache remembers what endpoint names stood for, so that a reboot needs no DNS.
type Cache interface {
	Get(host string) []netip.Addr
	Put(host string, addrs []netip.Addr)
}

// maxHosts bounds a cache; exits are at most rules.MaxExits.
const maxHosts = 256

// MemoryCache is a Cache that ends with the process. Its zero value is empty.
type MemoryCache struct {
	mu    sync.Mutex
	hosts map[string][]netip.Addr
}

// Get returns a copy.
func (c *MemoryCache) Get(host string) []netip.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.hosts[strings.ToLower(host)])
}

// Put keeps a copy.
func (c *MemoryCache) Put(host string, addrs []netip.Addr) { c.put(host, addrs) }

func (c *MemoryCache) put(host string, addrs []netip.Addr) (changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	host = strings.ToLower(host)
	if slices.Equal(c.hosts[host], addrs) {
		return false
	}
	if c.hosts == nil || (len(c.hosts) >= maxHosts && c.hosts[host] == nil) {
		c.hosts = map[string][]netip.Addr{}
	}
	c.hosts[host] = slices.Clone(addrs)
	return true
}

// FileCache is a Cache in one JSON file, written only when something changed.
// A file that is missing or broken is an empty cache.
type FileCache struct {
	memory MemoryCache
	file   string
	write  sync.Mutex
	failed error
}

// NewFileCache reads dir/endpoints.json.
func NewFileCache(dir string) *FileCache {
	c := &FileCache{file: filepath.Join(dir, "endpoints.json")}
	b, err := os.ReadFile(c.file)
	if err == nil && len(b) <= 64<<10 {
		hosts := map[string][]netip.Addr{}
		if json.Unmarshal(b, &hosts) == nil && len(hosts) <= maxHosts {
			c.memory.hosts = hosts
		}
	}
	return c
}

// Get returns what is remembered.
func (c *FileCache) Get(host string) []netip.Addr { return c.memory.Get(host) }

// Put remembers, also when the file cannot be written: see Err.
func (c *FileCache) Put(host string, addrs []netip.Addr) {
	c.write.Lock()
	defer c.write.Unlock()
	if c.memory.put(host, addrs) || c.failed != nil {
		c.failed = c.save()
	}
}

// Err is why the file could not be written the last time.
func (c *FileCache) Err() error {
	c.write.Lock()
	defer c.write.Unlock()
	return c.failed
}

func (c *FileCache) save() (err error) {
	c.memory.mu.Lock()
	b, err := json.Marshal(c.memory.hosts)
	c.memory.mu.Unlock()
	if err != nil {
		return fmt.Errorf("writing the endpoint cache: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(c.file), ".endpoints-*")
	if err != nil {
		return fmt.Errorf("writing the endpoint cache: %w", err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), c.file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("writing the endpoint cache: %w", err)
	}
	return nil
}
