package webui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/gin-gonic/gin"
)

//go:embed page
var pageFiles embed.FS

// asset is one file of the page, packed once.
type asset struct {
	typ    string
	plain  []byte
	packed []byte // gzip
	etag   string
}

// types are those of the page's files.
func assetType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".webmanifest":
		return "application/manifest+json"
	}
	return "application/octet-stream"
}

func loadAssets() map[string]asset {
	all := map[string]asset{}
	_ = fs.WalkDir(pageFiles, "page", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := pageFiles.ReadFile(name)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
		_, _ = z.Write(text)
		_ = z.Close()
		sum := sha256.Sum256(text)
		at := "/" + strings.TrimPrefix(name, "page/")
		if at == "/index.html" {
			at = "/"
		}
		all[at] = asset{assetType(name), text, b.Bytes(), `"` + hex.EncodeToString(sum[:8]) + `"`}
		return nil
	})
	return all
}

// page serves the files by their exact names: no path is ever made of what is
// asked for.
func (s *Server) page(e *gin.Engine) {
	for at, a := range s.assets {
		h := func(c *gin.Context) { a.serve(c) }
		e.GET(at, h)
		e.HEAD(at, h)
	}
}

func (a asset) serve(c *gin.Context) {
	h := c.Writer.Header()
	h.Set("Cache-Control", "no-cache") // asked for again, and answered in a few bytes
	h.Set("ETag", a.etag)
	h.Set("Vary", "Accept-Encoding")
	if c.GetHeader("If-None-Match") == a.etag {
		c.Status(http.StatusNotModified)
		c.Writer.WriteHeaderNow()
		return
	}
	if strings.Contains(c.GetHeader("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		c.Data(http.StatusOK, a.typ, a.packed)
		return
	}
	c.Data(http.StatusOK, a.typ, a.plain)
}
