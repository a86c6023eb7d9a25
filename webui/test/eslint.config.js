import js from '@eslint/js';

const names = (list) => Object.fromEntries(list.split(' ').map((n) => [n, 'readonly']));

export default [
  js.configs.recommended,
  {
    files: ['**/page/*.js'],
    languageOptions: { ecmaVersion: 2022, sourceType: 'module', globals: names('document window location fetch EventSource setTimeout clearTimeout setInterval clearInterval addEventListener removeEventListener scrollTo Node Intl TextDecoder createImageBitmap') },
    rules: { 'no-var': 'error', 'prefer-const': 'error', eqeqeq: 'error', 'no-unused-vars': 'error', 'no-restricted-properties': ['error', { property: 'innerHTML', message: 'text is text' }, { property: 'outerHTML', message: 'text is text' }, { property: 'insertAdjacentHTML', message: 'text is text' }] },
  },
  {
    files: ['**/test/*.mjs', '**/test/*.js'],
    languageOptions: { ecmaVersion: 2024, sourceType: 'module', globals: names('process console setTimeout document window innerWidth location MutationObserver URL DataTransfer DragEvent File') },
  },
];
