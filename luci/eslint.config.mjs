// SPDX-License-Identifier: Apache-2.0
import js from '@eslint/js';

const readonly = (...names) => Object.fromEntries(names.map((name) => [ name, 'readonly' ]));

const style = {
	'array-bracket-spacing': [ 'error', 'always' ],
	'eqeqeq': 'off',
	'no-extra-semi': 'error',
	'no-tabs': 'off',
	'no-unused-vars': 'error',
	'no-var': 'error',
	'prefer-const': [ 'error', { destructuring: 'all' } ],
	'quotes': [ 'error', 'single', { avoidEscape: false } ],
	'semi': [ 'error', 'always' ]
};

export default [
	js.configs.recommended,
	{
		// The pages: LuCI makes a function of each file, and names its parameters
		// by the file's first lines. What 21.02's browsers do not know is an error.
		files: [ 'htdocs/**/*.js' ],
		languageOptions: {
			sourceType: 'script',
			ecmaVersion: 2018,
			parserOptions: { ecmaFeatures: { globalReturn: true } },
			globals: readonly('L', 'E', '_', 'FileReader', 'baseclass', 'dom', 'form', 'poll', 'rpc', 'ui', 'uci', 'view', 'api', 'fields')
		},
		rules: {
			...style,
			'no-eval': 'error',
			'no-implied-eval': 'error',
			'no-restricted-properties': [ 'error', ...[ 'innerHTML', 'outerHTML', 'insertAdjacentHTML' ].map((property) => ({ property, message: 'What others wrote would become markup: use E().' })) ],
			'strict': [ 'error', 'global' ],
			'wrap-regex': 'off'
		}
	},
	{
		files: [ '**/*.mjs' ],
		languageOptions: { ecmaVersion: 2022, globals: readonly('process', 'structuredClone', 'setImmediate', 'globalThis', 'URL') },
		rules: style
	}
];
