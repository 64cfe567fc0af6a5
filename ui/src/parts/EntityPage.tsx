// A list with a form beside it: the page of everything that is made, changed and removed row by row.
import { Button, Drawer, TextInput } from '@mantine/core';
import { useHotkeys } from '@mantine/hooks';
import { IconEdit, IconPlus, IconSearch, IconTrash, type Icon } from '@tabler/icons-react';
import { useCallback, useMemo, useRef, useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { confirmed, IconButton } from './actions';
import { DataTable, type Column, type Sorting } from './DataTable';
import { FirstAccounts } from './FirstAccounts';
import { Later } from './Later';
import { Answered, Empty, Page } from './Page';
import { useTypedUrlState } from './useUrlState';

interface Props<T> {
  title: string;
  intro: ReactNode;
  query: { data: T[] | undefined; error: unknown; isPending: boolean; refetch: () => unknown };
  columns: Column<T>[];
  rowId: (row: T) => string;
  nameOf: (row: T) => string;
  /** What the search looks at. */
  textOf?: (row: T) => string;
  icon?: Icon;
  emptyTitle: string;
  emptyHint?: string;
  add?: string;
  /** The form: `null` makes a new one. */
  form?: (row: T | null, close: () => void) => ReactNode;
  canEdit?: (row: T) => boolean;
  remove?: { text: string; run: (row: T) => void; allowed?: (row: T) => boolean };
  more?: (row: T) => ReactNode;
  actions?: ReactNode;
  filters?: ReactNode;
  sorting?: Sorting;
  size?: string;
  /** Its list is asked for account by account (`useOfAccounts`). */
  byAccount?: boolean;
  /** A part of a page, under a heading of its own. */
  nested?: boolean;
  children?: ReactNode;
}

export function EntityPage<T extends object>(props: Props<T>) {
  const { title, intro, query, columns, rowId, nameOf, textOf, icon, add, form, remove, more } = props;
  const { t } = useTranslation();
  const [search, setSearch] = useTypedUrlState('q');
  const [editing, setEditing] = useState<T | 'new' | null>(null);
  const field = useRef<HTMLInputElement>(null);
  useHotkeys([['/', () => field.current?.focus()]]);
  const rows = useMemo(() => {
    const wanted = search.trim().toLowerCase();
    return (query.data ?? []).filter((row) => !wanted || (textOf ?? nameOf)(row).toLowerCase().includes(wanted));
  }, [query.data, search, textOf, nameOf]);
  const close = () => setEditing(null);
  const { canEdit } = props;
  const hasForm = Boolean(form);
  // Kept from one letter of the search to the next: rows that stay are not drawn anew.
  const actionsOf = useCallback(
    (row: T) => (
      <>
        {more?.(row)}
        {hasForm && (canEdit?.(row) ?? true) && <IconButton label={t('common.editOne', { name: nameOf(row) })} icon={IconEdit} onClick={() => setEditing(row)} />}
        {remove && (remove.allowed?.(row) ?? true) && (
          <IconButton
            label={t('common.removeOne', { name: nameOf(row) })}
            icon={IconTrash}
            onClick={() => confirmed({ title: t('common.removeOne', { name: nameOf(row) }), text: remove.text, confirm: t('common.remove'), cancel: t('common.cancel'), onConfirm: () => remove.run(row) })}
          />
        )}
      </>
    ),
    [more, hasForm, canEdit, remove, nameOf, t],
  );
  const hasActions = Boolean(form || remove || more);
  const addButton = add && form && (
    <Button leftSection={<IconPlus size={16} />} onClick={() => setEditing('new')}>
      {add}
    </Button>
  );
  return (
    <Page
      wide
      nested={props.nested}
      title={title}
      intro={intro}
      actions={
        (props.actions || addButton) && (
          <>
            {props.actions}
            {addButton}
          </>
        )
      }
    >
      {props.byAccount && <FirstAccounts />}
      {props.filters}
      <Answered query={query} empty={<Empty icon={icon} title={props.emptyTitle} action={addButton}>{props.emptyHint}</Empty>}>
        {(all) => (
          <>
            {all.length > 8 && (
              <TextInput
                ref={field}
                mb="md"
                w={{ base: '100%', sm: 320 }}
                leftSection={<IconSearch size={16} />}
                placeholder={t('common.searchList')}
                aria-label={t('common.searchList')}
                value={search}
                onChange={(event) => setSearch(event.currentTarget.value)}
              />
            )}
            {rows.length === 0 ? (
              <Empty title={t('common.nothingFound')} action={<Button variant="default" onClick={() => setSearch('')}>{t('common.clearFilters')}</Button>} />
            ) : (
              <DataTable
                rows={rows}
                columns={columns}
                rowId={rowId}
                nameOf={nameOf}
                label={title}
                sorting={props.sorting}
                actions={hasActions ? actionsOf : undefined}
              />
            )}
          </>
        )}
      </Answered>
      {props.children}
      {form && (
        <Drawer opened={editing !== null} onClose={close} position="right" size={props.size ?? 'lg'} title={editing === 'new' ? add : editing ? t('common.editOne', { name: nameOf(editing) }) : ''} closeButtonProps={{ 'aria-label': t('common.close') }}>
          {editing !== null && <Later>{form(editing === 'new' ? null : editing, close)}</Later>}
        </Drawer>
      )}
    </Page>
  );
}
