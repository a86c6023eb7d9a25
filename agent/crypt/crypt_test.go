package crypt

import (
	"strings"
	"testing"
)

// The hashes were made by openssl passwd, and those with rounds by glibc.
func TestCheck(t *testing.T) {
	for _, v := range []struct{ password, hash string }{
		{"x", "$1$abcdefgh$znAnv9M.XU2pRYfmSs46h/"},
		{"Hello world!", "$1$abcdefgh$fzmjzFdo5nMtBG8gtud5e0"},
		{"a longer password than sixteen characters and than sixty-four of them, too", "$1$abcdefgh$TOQmEguxZyngEOYowLF.l1"},
		{"x", "$1$z$DOl2N9vd7WD9y.kpzPUEn/"},
		{"Hello world!", "$1$z$n30xvEPNXxwkHeJ61FKwe1"},
		{"a longer password than sixteen characters and than sixty-four of them, too", "$1$z$h5dE/kJTHJ4GzBXvPW3bi1"},
		{"x", "$5$abcdefghijklmnop$fiUnwzJyCDn7Dx53oezcP81DtfKy73q.P999JrS8fsB"},
		{"Hello world!", "$5$abcdefghijklmnop$WygOm0vZdIKWH9yI98DLdhsSwAIlXFRF1LLg5KLHb58"},
		{"a longer password than sixteen characters and than sixty-four of them, too", "$5$abcdefghijklmnop$BQHTR6xFCqo7xJIjuy/Em8rE.Dfd24QNpRg0NBVwr.."},
		{"x", "$6$abc$K4v3HcZ8yAmpRfxML6S46NCcqy9r4/KdbQpFvqSWsBf4dgySOEOo1DHJTrmn2BsJK2aNmPN8Tfb826D2o9.z51"},
		{"Hello world!", "$6$abc$GCTGv8BAYFK9TuIDXKHVUoVaWzmkdLPay1r1GJAxMKQQ6z7t2Tmm65U/P.hZAegWFrLmTkbtZjkq60zEQBj03."},
		{"a longer password than sixteen characters and than sixty-four of them, too", "$6$abc$cEBEZ2Xp7Sn4r1DpPXge.EnfzwHiHysW/DPQs8qrzooTjvDYQsTAcSgCAbFOHrdrpGo9m4/Spj6jeKqME6NGU0"},
		{"x", "$5$a$m5PPB7rYZmTs0gzCcO.9R/qmXtGr3g/5s2bl1flV9x2"},
		{"Hello world!", "$5$a$ZU7Ddhtmag.oYVNilwAYF0nkd.0VUIfAkTK/WKh6CdD"},
		{"a longer password than sixteen characters and than sixty-four of them, too", "$5$a$qQ/WWN5t6eSb7YFgO5vWGAvXsfk32Gc9LbHV6lLQSF9"},
		{"x", "$6$saltstringsaltst$/8i8Ph3EyV82HNhvQRX5v4sbaeRz4c7mUjGmnzXK24AcEkdrz9Do6lC8McBpJSycawjICjyqoOgs1Vw9i6A5O0"},
		{"Hello world!", "$6$saltstringsaltst$e.3mR68CqZEpesEX1HlFZT6sEanSOjM/b5UoDyDo00a8syek2cJldMjrbtKP86.FJvzluVR7nc3DNzelAwTxj."},
		{"a longer password than sixteen characters and than sixty-four of them, too", "$6$saltstringsaltst$iKKfnHLtT.iZsRM/01gLlc.tdhhkSYv6ayMaGKI3IVumIu9F2FQYVtHOCR0nJm2mU6rDVUyj.vDMBl9LirJoQ1"},
		{"Hello world!", "$5$rounds=1400$anotherlong$41HFaGajR1xVd25deHCxYS8dgK09czab1FF/GAFAIH4"},
		{"Hello world!", "$6$rounds=1000$x$AXZriv1EhkVmi2pUsOOluJ2moRsWhl8eg63p9bsXIg6/kFEOMxLAqaeemMhYvK/9i1KJo9cIV9dfRbooNjOgt/"},
		{"Hello world!", "$6$rounds=77777$shorter$NumcxMP4RZi8Ss2m1QFdAqzN7BuBK1YlNQH8CLfnZXCcz0qn/e5AelJuDwOxOGrkwtx.wxBp5nmzLoqseSh2p/"},
	} {
		if !Check(v.hash, v.password) {
			t.Errorf("%q does not fit %s", v.password, v.hash)
		}
		for _, wrong := range []string{"", v.password + " ", strings.ToUpper(v.password), v.password[1:]} {
			if Check(v.hash, wrong) {
				t.Errorf("%q fits %s", wrong, v.hash)
			}
		}
	}
	made, err := Hash("correct horse")
	if err != nil || !Check(made, "correct horse") || Check(made, "correct horsf") || !Usable(made) {
		t.Errorf("bcrypt: %v %v", made, err)
	}
	if _, err := Hash(strings.Repeat("x", 73)); err == nil {
		t.Error("a password that would be cut was taken")
	}
	for _, locked := range []string{"", "!", "*", "x", "!$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjlO", "plain"} {
		if Usable(locked) || Check(locked, "") || Check(locked, locked) {
			t.Errorf("%q lets somebody in", locked)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("$6$saltstring$x", "y")
	f.Add("$5$rounds=1000$a$b", "")
	f.Add("$1$$", "x")
	f.Add("$2a$10$", "x")
	f.Fuzz(func(t *testing.T, hash, password string) {
		if len(hash) < 20 && Check(hash, password) {
			t.Errorf("%q fits %q", password, hash)
		}
	})
}
