import '@mantine/core/styles.css';
import './app.css';

import { MantineProvider, type CSSVariablesResolver } from '@mantine/core';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { setNonce } from 'get-nonce';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { startLanguages } from './i18n';
import { router } from './router';
import { theme } from './theme';

// Style elements that libraries make carry the nonce of the page's policy; `__NONCE__` is what a server without one leaves there.
const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? '';
if (nonce) setNonce(nonce);

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      retry: (count, error) => count < 2 && ((error as { status?: number } | null)?.status ?? 0) >= 500,
      refetchOnWindowFocus: true,
      staleTime: 5_000,
    },
  },
});

const DARK_ENOUGH = ['red', 'orange', 'yellow', 'teal', 'green', 'blue', 'violet', 'gray', 'allo', 'pink', 'grape', 'cyan'];

/** Words on tinted grounds, and dimmed ones, are readable at 4.5:1 in both schemes. */
const variables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--mantine-color-red-filled': '#c92a2a',
    '--mantine-color-red-filled-hover': '#a61e1e',
    '--mantine-color-red-text': '#c92a2a',
    '--mantine-color-error': '#c92a2a',
    '--mantine-color-dimmed': 'var(--mantine-color-gray-7)',
    '--mantine-color-placeholder': 'var(--mantine-color-gray-6)',
    ...Object.fromEntries(DARK_ENOUGH.map((color) => [`--mantine-color-${color}-light-color`, `var(--mantine-color-${color}-9)`])),
    '--mantine-color-orange-light-color': '#8a3a00',
    '--mantine-color-yellow-light-color': '#7a4d00',
    '--mantine-color-teal-light-color': '#06574c',
    '--mantine-color-green-light-color': '#1f5f2f',
  },
  dark: {
    '--mantine-color-red-filled': '#c92a2a',
    '--mantine-color-red-filled-hover': '#a61e1e',
    '--mantine-color-dimmed': 'var(--mantine-color-dark-1)',
    '--mantine-color-placeholder': 'var(--mantine-color-dark-2)',
    ...Object.fromEntries(DARK_ENOUGH.map((color) => [`--mantine-color-${color}-light-color`, `var(--mantine-color-${color}-2)`])),
    '--mantine-color-anchor': 'var(--mantine-color-allo-3)',
  },
});

async function begin() {
  await startLanguages();
  const root = document.getElementById('root');
  if (!root) return;
  createRoot(root).render(
    <StrictMode>
      <MantineProvider theme={theme} defaultColorScheme="auto" cssVariablesResolver={variables} getStyleNonce={() => nonce}>
        <QueryClientProvider client={queries}>
          <RouterProvider router={router} />
        </QueryClientProvider>
      </MantineProvider>
    </StrictMode>,
  );
}

void begin();
