package opkgfeed

const (
	usignPublic = "untrusted comment: public key 379be0f2f3250d8b\n" +
		"RWQ3m+Dy8yUNi0AHfLvJvvvXelmOuLbdrvlFCvQNcwxVybDyqdvxEJgY\n"
	usignSignature = "untrusted comment: signed by key 379be0f2f3250d8b\n" +
		"RWQ3m+Dy8yUNi2pU5AVo/11PE6hBkkNymaQuiazECZKwxb+ejBy0xyPKwI/KtKjja0MSZN+p79ZgrwHERLXj/xdT2FEuoHsrXQY=\n"
)
