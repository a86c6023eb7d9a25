// SPDX-License-Identifier: Apache-2.0
// Finds every text that LuCI is to translate and prints the template that
// translators start from: node test/strings.mjs > po/templates/lanseal.pot
import { readdirSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { read } from './runtime.mjs';

const app = 'applications/luci-app-lanseal/';

// files lists what may hold texts, below the app's folder.
export function files() {
	return [ 'htdocs', 'root' ].flatMap((top) => readdirSync(new URL(`../${top}`, import.meta.url), { recursive: true, withFileTypes: true })
		.filter((f) => f.isFile() && /\.(js|json)$/.test(f.name))
		.map((f) => `${(f.parentPath ?? f.path).replace(/^.*\/luci\/(?=htdocs|root)/, '')}/${f.name}`)).sort();
}

// strings maps each text to the files that hold it.
export function strings() {
	const found = new Map(), add = (text, file) => found.set(text, (found.get(text) || new Set()).add(file));

	for (const file of files()) {
		const source = read(file);

		if (file.endsWith('.js')) {
			for (const [ , text ] of source.matchAll(/(?<![\w.])_\('((?:[^'\\\n]|\\.)*)'\)/g))
				add(text.replace(/\\(.)/g, '$1'), file);
		}
		else {
			for (const [ , text ] of source.matchAll(/"(?:title|description)": ("(?:[^"\\]|\\.)*")/g))
				add(JSON.parse(text), file);
		}
	}

	return found;
}

export function pot() {
	const entries = [ ...strings() ].sort(([ a ], [ b ]) => a < b ? -1 : 1).map(([ text, where ]) =>
		[ ...where ].map((file) => `#: ${app}${file}\n`).join('') + `msgid ${JSON.stringify(text)}\nmsgstr ""\n`);

	return [ 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8"\n', ...entries ].join('\n');
}

if (import.meta.url == pathToFileURL(process.argv[1]).href)
	process.stdout.write(pot());
