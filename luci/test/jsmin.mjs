// SPDX-License-Identifier: Apache-2.0
// What luci.mk's minifier does to a page, by its rules and not by its code: it
// drops comments; keeps a blank between two letters, digits or signs alone;
// keeps a line's end where a statement may end there; and takes a slash for a
// regular expression behind certain characters only, so that behind others, as
// in “return /x/”, its quotes and slashes are read as code.
const word = /[A-Za-z0-9_$\\\u0080-\uffff]/;
const beforeRegex = '(,=:[!&|?+-~*/{};';

export function jsmin(source) {
	let out = '', gap = '', i = 0;

	const until = (end) => {
		const start = i++;

		for (let set = false; source[i] != end || set; i++) {
			if (i >= source.length || (end == '/' && source[i] == '\n'))
				throw new Error(`jsmin: what begins with ${source.slice(start, start + 20)} has no end`);

			if (source[i] == '\\')
				i++;
			else if (end == '/' && (source[i] == '[' || source[i] == ']'))
				set = source[i] == '[';
		}

		return source.slice(start, ++i);
	};
	const emit = (token) => {
		const a = out.at(-1) ?? '', b = token[0];

		if (gap == '\n' ? (word.test(a) || '}])+-"\'`'.includes(a)) && (word.test(b) || '{[(+-!~'.includes(b)) : gap && word.test(a) && word.test(b))
			out += gap;

		out += token;
		gap = '';
	};

	while (i < source.length) {
		const c = source[i], next = source[i + 1];

		if (c == '/' && next == '/') {
			while (i < source.length && source[i] != '\n')
				i++;
		}
		else if (c == '/' && next == '*') {
			i = source.indexOf('*/', i) + 2;
			gap ||= ' ';
		}
		else if (/\s/.test(c)) {
			gap = c == '\n' || gap == '\n' ? '\n' : ' ';
			i++;
		}
		else if ('\'"`'.includes(c)) {
			emit(until(c));
		}
		else if (c == '/' && beforeRegex.includes(out.at(-1))) {
			emit(until('/'));
		}
		else {
			emit(c);
			i++;
		}
	}

	return out;
}
