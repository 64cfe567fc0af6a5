// Labels of the pages. The server owns sentences about calls, errors and states (docs/errors.md); these catalogues own the rest.
import i18n from 'i18next';
import { initReactI18next } from 'react-i18next';

const LANGUAGES = ['fr', 'en'] as const;
export type Language = (typeof LANGUAGES)[number];

const KEY = 'allo.language';

function storedLanguage(): Language {
  let stored: string | null = null;
  try {
    stored = localStorage.getItem(KEY);
  } catch {
    // A browser without storage starts in French each time.
  }
  const wanted = stored ?? navigator.language.slice(0, 2);
  return wanted === 'en' ? 'en' : 'fr';
}

/** Catalogues that come with the pages that need them. */
const PARTS = {
  fr: { admin: () => import('./fr/admin.json'), agents: () => import('./fr/agents.json'), restaurant: () => import('./fr/restaurant.json') },
  en: { admin: () => import('./en/admin.json'), agents: () => import('./en/agents.json'), restaurant: () => import('./en/restaurant.json') },
};
export type Part = keyof (typeof PARTS)['fr'];

const wanted = new Set<Part>();

async function load(language: Language) {
  const known = (i18n.getResourceBundle(language, 'translation') ?? {}) as Record<string, unknown>;
  const add = (texts: object) => i18n.addResourceBundle(language, 'translation', texts, true, true);
  await Promise.all([
    'common' in known ? null : (language === 'en' ? import('./en') : import('./fr')).then((texts) => add(texts.default)),
    ...[...wanted].filter((part) => !(part in known)).map((part) => PARTS[language][part]().then((texts) => add({ [part]: texts.default }))),
  ]);
}

/** The words of a page, in the language of the moment; another language brings its own. */
export async function needTexts(parts: readonly Part[]) {
  for (const part of parts) wanted.add(part);
  await load(i18n.language === 'en' ? 'en' : 'fr');
}

export async function setLanguage(language: Language) {
  await load(language);
  await i18n.changeLanguage(language);
  document.documentElement.lang = language;
  try {
    localStorage.setItem(KEY, language);
  } catch {
    // Kept for this page only.
  }
}

export async function startLanguages() {
  await i18n.use(initReactI18next).init({
    lng: storedLanguage(),
    fallbackLng: false,
    resources: {},
    interpolation: { escapeValue: false },
    // A key without words is a fault of ours: the tests read the console.
    parseMissingKeyHandler: (key: string, fallback?: string) => {
      if (fallback !== undefined) return fallback;
      console.error(`missing text: ${key}`);
      return key;
    },
  });
  await setLanguage(storedLanguage());
}

export default i18n;
