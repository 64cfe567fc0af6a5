// Labels of the pages. The server owns sentences about calls, errors and states (docs/errors.md); these catalogues own the rest.
import i18n from 'i18next';
import { initReactI18next } from 'react-i18next';

export const LANGUAGES = ['fr', 'en'] as const;
export type Language = (typeof LANGUAGES)[number];

const KEY = 'allo.language';

export function storedLanguage(): Language {
  let stored: string | null = null;
  try {
    stored = localStorage.getItem(KEY);
  } catch {
    // A browser without storage starts in French each time.
  }
  const wanted = stored ?? navigator.language.slice(0, 2);
  return wanted === 'en' ? 'en' : 'fr';
}

async function load(language: Language) {
  if (i18n.hasResourceBundle(language, 'translation')) return;
  const texts = language === 'en' ? await import('./en') : await import('./fr');
  i18n.addResourceBundle(language, 'translation', texts.default);
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
