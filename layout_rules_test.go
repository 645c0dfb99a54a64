package rollcall_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

const module = "rollcall"

// source is one parsed Go file of the project.
type source struct {
	name   string // slash path from the root
	folder string // its directory, "." for the root
	test   bool
	fset   *token.FileSet
	file   *ast.File
}

// scan parses every Go file below root that belongs to this module.
func scan(root fs.FS) ([]source, error) {
	var files []source
	fset := token.NewFileSet()
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if foreignFolder(root, name) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, source{
			name: name, folder: path.Dir(name), fset: fset, file: file,
			test: strings.HasSuffix(name, "_test.go"),
		})
		return nil
	})
	return files, err
}

func foreignFolder(root fs.FS, name string) bool {
	if name == "." {
		return false
	}
	base := path.Base(name)
	if base[0] == '.' || base[0] == '_' || slices.Contains(skippedFolders, base) {
		return true
	}
	_, err := fs.Stat(root, path.Join(name, "go.mod"))
	return err == nil
}

// findings returns every broken rule, one line each, the largest file and function first of their kind.
func findings(files []source) []string {
	var out []string
	for _, s := range files {
		out = append(out, s.misplaced()...)
		for _, imported := range s.imports() {
			out = append(out, s.checkImport(imported)...)
		}
		out = append(out, s.impure()...)
		out = append(out, s.badNames()...)
	}
	out = append(out, undocumented(files)...)
	return append(out, tooLarge(files)...)
}

func (s source) top() string {
	top, _, _ := strings.Cut(s.folder, "/")
	return top
}

func (s source) at(pos token.Pos) string {
	return fmt.Sprintf("%s:%d", s.name, s.fset.Position(pos).Line)
}

func (s source) imports() []string {
	var paths []string
	for _, spec := range s.file.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

func (s source) misplaced() []string {
	_, layered := layers[s.top()]
	_, apart := beside[s.top()]
	if layered || apart || s.folder == "." && s.test {
		return nil
	}
	return []string{fmt.Sprintf("%s: folder %q has no place in the layout", s.name, s.top())}
}

func (s source) checkImport(imported string) []string {
	if own, ok := strings.CutPrefix(imported, module+"/"); ok {
		return s.checkOwnImport(own)
	}
	var out []string
	for _, r := range rooms {
		if under(imported, r.paths) && !r.admits(s) {
			out = append(out, fmt.Sprintf("%s imports %s, which belongs to %s",
				s.name, imported, strings.Join(r.folders, ", ")))
		}
	}
	return out
}

func (r room) admits(s source) bool {
	if under(s.folder, r.folders) {
		return true
	}
	return s.test && (r.everyTest && !pure(s) || under(s.folder, r.inTests))
}

func (s source) checkOwnImport(own string) []string {
	from := s.top()
	to, _, _ := strings.Cut(own, "/")
	if from == to || from == "." {
		return nil
	}
	allowed, apart := beside[from]
	_, toApart := beside[to]
	switch {
	case apart && (s.test || slices.Contains(allowed, to)):
		return nil
	case apart:
		return []string{fmt.Sprintf("%s imports %s; %s may import only %s",
			s.name, own, from, strings.Join(allowed, ", "))}
	case toApart && (slices.Contains(besideUsers, from) || s.test && layers[from] > 4):
		return nil
	case toApart:
		return []string{fmt.Sprintf("%s imports %s, which only %s may", s.name, own, strings.Join(besideUsers, ", "))}
	}
	if layers[to] < layers[from] {
		return nil
	}
	return []string{fmt.Sprintf("%s (layer %d) imports %s (layer %d); imports only point down",
		s.name, layers[from], own, layers[to])}
}

func pure(s source) bool {
	layer, ok := layers[s.top()]
	return ok && layer == 0
}

// impure finds, in the code of layer 0, what makes a result depend on more than the arguments.
func (s source) impure() []string {
	if !pure(s) || s.test {
		return nil
	}
	var out []string
	for _, imported := range s.imports() {
		first, _, _ := strings.Cut(imported, "/")
		switch {
		case imported == "C" || strings.Contains(first, "."):
			out = append(out, fmt.Sprintf("%s imports %s; layer 0 uses the standard library only", s.name, imported))
		case under(imported, impurePackages) && !slices.Contains(pureExceptions, imported):
			out = append(out, fmt.Sprintf("%s imports %s; layer 0 is pure", s.name, imported))
		}
	}
	clock := s.importName("time")
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			out = append(out, s.at(n.Pos())+": go statement; layer 0 is pure")
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if ok && clock != "" && x.Name == clock && slices.Contains(clockFunctions, n.Sel.Name) {
				out = append(out, fmt.Sprintf("%s: time.%s; layer 0 takes time as an argument", s.at(n.Pos()), n.Sel.Name))
			}
		}
		return true
	})
	return out
}

// importName returns the name by which the file calls the package, "" when it does not import it.
func (s source) importName(imported string) string {
	for _, spec := range s.file.Imports {
		if spec.Path.Value != strconv.Quote(imported) {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(imported)
	}
	return ""
}

// undocumented finds the packages of which no file has a package comment.
func undocumented(files []source) []string {
	documented := map[string]bool{}
	for _, s := range files {
		if s.test {
			continue
		}
		said := s.file.Doc != nil && strings.TrimSpace(s.file.Doc.Text()) != "" && !ast.IsGenerated(s.file)
		documented[s.folder] = documented[s.folder] || said
	}
	var out []string
	for folder, ok := range documented {
		if !ok {
			out = append(out, folder+": the package has no package comment")
		}
	}
	slices.Sort(out)
	return out
}

// tooLarge measures hand-written code that is not a test.
func tooLarge(files []source) []string {
	type excess struct {
		lines int
		text  string
	}
	var found []excess
	for _, s := range files {
		if s.test || ast.IsGenerated(s.file) {
			continue
		}
		last := s.fset.File(s.file.FileStart).LineCount()
		if last > maxFileLines {
			found = append(found, excess{last, fmt.Sprintf("%s: %d lines, at most %d", s.name, last, maxFileLines)})
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1
			if n > maxFunctionLines {
				found = append(found, excess{n, fmt.Sprintf("%s: function %s has %d lines, at most %d",
					s.at(f.Pos()), f.Name.Name, n, maxFunctionLines)})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b excess) int { return b.lines - a.lines })
	out := make([]string, len(found))
	for i, e := range found {
		out[i] = e.text
	}
	return out
}

// badNames finds banned words in the names that the file declares, its package's and its own included.
func (s source) badNames() []string {
	if ast.IsGenerated(s.file) {
		return nil
	}
	var out []string
	complain := func(where, name string) {
		if word := bannedWord(name); word != "" {
			out = append(out, fmt.Sprintf("%s: the name %s has the empty word %q", where, name, word))
		}
	}
	complain(s.name, strings.TrimSuffix(path.Base(s.name), ".go"))
	complain(s.name, s.file.Name.Name)
	for _, id := range declared(s.file) {
		complain(s.at(id.Pos()), id.Name)
	}
	return out
}

func declared(file *ast.File) []*ast.Ident {
	var ids []*ast.Ident
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			ids = append(ids, n.Name)
		case *ast.TypeSpec:
			ids = append(ids, n.Name)
		case *ast.ValueSpec:
			ids = append(ids, n.Names...)
		case *ast.Field:
			ids = append(ids, n.Names...)
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				return true
			}
			for _, left := range n.Lhs {
				if id, ok := left.(*ast.Ident); ok {
					ids = append(ids, id)
				}
			}
		}
		return true
	})
	return ids
}

func bannedWord(name string) string {
	for _, w := range words(name) {
		if slices.Contains(bannedWords, w) {
			return w
		}
	}
	return ""
}

// words splits a name at underscores and where a capital begins a word: HTTPUtil is http, util.
func words(name string) []string {
	var out []string
	r := []rune(name)
	start := 0
	cut := func(end int) {
		if w := strings.Trim(string(r[start:end]), "_"); w != "" {
			out = append(out, strings.ToLower(w))
		}
		start = end
	}
	for i := 1; i < len(r); i++ {
		afterLower := unicode.IsUpper(r[i]) && !unicode.IsUpper(r[i-1])
		endOfCapitals := unicode.IsUpper(r[i]) && unicode.IsUpper(r[i-1]) && i+1 < len(r) && unicode.IsLower(r[i+1])
		if afterLower || endOfCapitals || r[i] == '_' {
			cut(i)
		}
	}
	cut(len(r))
	return out
}

// under reports whether name is one of the parents or lies below one.
func under(name string, parents []string) bool {
	return slices.ContainsFunc(parents, func(p string) bool {
		return name == p || strings.HasPrefix(name, p+"/")
	})
}
