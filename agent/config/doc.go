// Package config reads what the user wants: the UCI file /etc/config/lanseal
// and the tunnel files it names. It makes a typed, valid [rules.Policy] of
// them, and writes changes back.
//
// Three promises:
//
//   - Every error is reported, all at once, and each names file, line, section
//     and option and says what would be right. [Load] returns a [Config] even
//     then, holding everything that could be understood: the caller seals the
//     LAN with it. What could not be understood is read the closed way:
//     enabled and killswitch as '1', a broken "via" as 'block', a broken
//     exception as none.
//   - What is not changed stays as it is, byte for byte. [File] keeps the text
//     and edits only the lines concerned, so comments and layout survive the
//     web UI, LuCI and an editor taking turns.
//   - Secrets stay in the tunnel files. They are never in a Policy, an error, a
//     warning or a log line: [SecretKey] prints itself as "(secret)" under
//     every verb, and messages about tunnel files do not repeat what looks
//     like a key.
//
// The parts: [Parse] and [File] know UCI syntax as libuci reads it and nothing
// of lanseal; [ParseWGQuick] knows wg-quick files; [Load] knows what the
// options mean; [Edit], [Import] and [SetEnabled] change the file under
// libuci's lock, whole or not at all.
//
// The package never touches the kernel, resolves no name and runs nothing:
// PostUp and its kind are named in a warning and otherwise ignored.
package config
