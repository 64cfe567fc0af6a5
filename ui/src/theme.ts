import { createTheme, type MantineColorsTuple } from '@mantine/core';

/** The house colour: dark enough that white words on its seventh shade have a contrast of 5.4:1. */
const allo: MantineColorsTuple = [
  '#ecfdf9', '#d5f5ec', '#a7e8d8', '#74d8c1', '#48c7ac', '#27b498', '#149a82', '#0f766e', '#0c5f59', '#084842',
];

export const theme = createTheme({
  colors: { allo },
  primaryColor: 'allo',
  primaryShade: { light: 7, dark: 7 },
  defaultRadius: 'md',
  cursorType: 'pointer',
  fontFamily: 'Inter, "Segoe UI", system-ui, -apple-system, "Liberation Sans", Roboto, "Helvetica Neue", sans-serif',
  fontFamilyMonospace: 'ui-monospace, "SF Mono", "Cascadia Mono", "Liberation Mono", Menlo, Consolas, monospace',
  headings: { fontWeight: '650', sizes: { h1: { fontSize: '1.5rem' }, h2: { fontSize: '1.15rem' }, h3: { fontSize: '1rem' } } },
  // Plain objects: naming the components themselves would bring all of them with the first page.
  components: {
    Badge: { defaultProps: { radius: 'sm', variant: 'light', tt: 'none' } },
    Button: { defaultProps: { size: 'sm' } },
    Modal: { defaultProps: { centered: true, overlayProps: { backgroundOpacity: 0.45 } } },
    // What to do about a failure is read as well: the dimmed grey on white has a contrast of 3.3:1.
    Notification: { styles: { description: { color: 'var(--mantine-color-text)' } } },
    Table: { defaultProps: { verticalSpacing: 'xs', highlightOnHover: true } },
  },
});
