package read

import "fmt"

// Index is an index, read and checked.
type Index struct {
	*Container
	Description string
	Packages    []Info
}

// ReadIndex reads an index.
func ReadIndex(file []byte) (*Index, error) {
	c, err := Open(file)
	if err != nil {
		return nil, err
	}
	if c.Schema != "indx" {
		return nil, fmt.Errorf("schema %q is no index", c.Schema)
	}
	r, err := root(c.adb())
	if err != nil {
		return nil, err
	}
	top := r.object("index")
	x := &Index{Container: c, Description: top.text(1)}
	before := ""
	for _, v := range top.list(2) {
		i, err := readInfo(v)
		if err != nil {
			return nil, err
		}
		if i.Name < before {
			return nil, fmt.Errorf("package %q after %q", i.Name, before)
		}
		if len(i.Hashes) != 32 || i.FileSize == 0 {
			return nil, fmt.Errorf("package %q: a hash of %d bytes, a file of %d", i.Name, len(i.Hashes), i.FileSize)
		}
		before = i.Name
		x.Packages = append(x.Packages, i)
	}
	for _, b := range c.Blocks {
		if b.Type == "DATA" {
			return nil, fmt.Errorf("an index with files")
		}
	}
	return x, top.err
}
