// A field for a template: while `{{` stands open before the cursor, the names that it may hold are offered.
import { Combobox, Textarea, TextInput, Text, useCombobox } from '@mantine/core';
import { useEffect, useRef, useState, type ReactNode } from 'react';

export interface TemplateName {
  name: string;
  about?: string;
}

interface Props {
  label: string;
  value: string;
  onChange: (value: string) => void;
  names: TemplateName[];
  /** Several lines. */
  area?: boolean;
  error?: ReactNode;
  description?: ReactNode;
  placeholder?: string;
}

/** Offered at once. */
const OFFERED_MAX = 12;
const OPEN = /\{\{\s*([\w.$]*)$/;

export function TemplateInput({ label, value, onChange, names, area, error, description, placeholder }: Props) {
  const combobox = useCombobox({ onDropdownClose: () => combobox.resetSelectedOption() });
  const field = useRef<HTMLInputElement & HTMLTextAreaElement>(null);
  const [at, setAt] = useState(0);
  const open = OPEN.exec(value.slice(0, at));
  const typed = (open?.[1] ?? '').toLowerCase();
  const offered = open ? names.filter((one) => one.name.toLowerCase().includes(typed)).slice(0, OFFERED_MAX) : [];

  useEffect(() => {
    if (offered.length > 0) combobox.selectFirstOption();
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the first of what is offered now
  }, [typed, offered.length]);

  function look(next: string, cursor: number) {
    setAt(cursor);
    if (OPEN.test(next.slice(0, cursor))) {
      combobox.openDropdown();
    } else combobox.closeDropdown();
  }

  function take(name: string) {
    if (!open) return;
    const before = value.slice(0, open.index);
    const after = value.slice(at).replace(/^\s*\}\}/, '');
    const inserted = `{{${name}}}`;
    // A text is a template from its `=` on (docs/templates.md).
    const whole = `${before}${inserted}${after}`;
    const next = area || whole.startsWith('=') ? whole : `=${whole}`;
    onChange(next);
    combobox.closeDropdown();
    const cursor = before.length + inserted.length + (next.length - whole.length);
    requestAnimationFrame(() => field.current?.setSelectionRange(cursor, cursor));
  }

  const shared = {
    label,
    value,
    error,
    description,
    placeholder,
    spellCheck: false,
    autoComplete: 'off',
    onBlur: () => combobox.closeDropdown(),
    onChange: (event: React.ChangeEvent<HTMLInputElement | HTMLTextAreaElement>) => {
      const { value: next, selectionStart } = event.currentTarget;
      onChange(next);
      look(next, selectionStart ?? next.length);
    },
  };
  return (
    <Combobox store={combobox} onOptionSubmit={take} withinPortal>
      <Combobox.Target withKeyboardNavigation={offered.length > 0}>
        {area ? <Textarea ref={field} autosize minRows={3} maxRows={16} ff="monospace" {...shared} /> : <TextInput ref={field} {...shared} />}
      </Combobox.Target>
      <Combobox.Dropdown hidden={offered.length === 0}>
        <Combobox.Options aria-label={label}>
          {offered.map((one) => (
            <Combobox.Option key={one.name} value={one.name}>
              <Text size="sm" ff="monospace" span>
                {one.name}
              </Text>
              {one.about && (
                <Text size="xs" c="dimmed" span>
                  {' '}
                  {one.about}
                </Text>
              )}
            </Combobox.Option>
          ))}
        </Combobox.Options>
      </Combobox.Dropdown>
    </Combobox>
  );
}
