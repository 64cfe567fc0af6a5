import 'i18next';
import type fr from './fr';
import type admin from './fr/admin.json';
import type agents from './fr/agents.json';
import type restaurant from './fr/restaurant.json';

declare module 'i18next' {
  interface CustomTypeOptions {
    resources: { translation: typeof fr & { admin: typeof admin; agents: typeof agents; restaurant: typeof restaurant } };
  }
}
