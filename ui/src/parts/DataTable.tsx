// One table for all lists: sortable by TanStack Table, virtual where it is long, cards on a telephone.
import { Box, Button, Card, Checkbox, Group, Table, Text, UnstyledButton, VisuallyHidden } from '@mantine/core';
import { useMediaQuery } from '@mantine/hooks';
import { IconArrowDown, IconArrowUp, IconArrowsSort } from '@tabler/icons-react';
import { createSortedRowModel, rowSortingFeature, sortFns, tableFeatures, useTable, type ColumnDef } from '@tanstack/react-table';
import { useVirtualizer } from '@tanstack/react-virtual';
import { memo, useCallback, useEffect, useMemo, useRef, useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import classes from './DataTable.module.css';

export interface Column<T> {
  id: string;
  header: string;
  cell: (row: T) => ReactNode;
  /** What it is sorted by; without it the column is not. */
  sort?: (row: T) => string | number;
  right?: boolean;
  width?: number | string;
  /** The heading of the card on a telephone. */
  title?: boolean;
  /** Not on the card. */
  wideOnly?: boolean;
}

export interface Sorting {
  id: string;
  desc: boolean;
}

interface Props<T> {
  rows: T[];
  columns: Column<T>[];
  rowId: (row: T) => string;
  label: string;
  actions?: (row: T) => ReactNode;
  sorting?: Sorting;
  onSorting?: (sorting: Sorting) => void;
  selected?: string[];
  onSelect?: (ids: string[]) => void;
  /** Name of a row for those who hear the page. */
  nameOf?: (row: T) => string;
}

/** Rows above which only the visible ones are in the document. */
const VIRTUAL_FROM = 60;
const ROW_HEIGHT = 49;
const CARDS_AT_ONCE = 60;

const features = tableFeatures({ rowSortingFeature, sortedRowModel: createSortedRowModel(), sortFns });

export function DataTable<T extends object>({ rows, columns, rowId, label, actions, sorting, onSorting, selected, onSelect, nameOf }: Props<T>) {
  const { t } = useTranslation();
  const narrow = useMediaQuery('(max-width: 48em)', undefined, { getInitialValueInEffect: false });
  const [own, setOwn] = useState<Sorting | undefined>(sorting);
  const order = onSorting ? sorting : own;
  const defs = useMemo(
    () =>
      columns.map(
        (column): ColumnDef<typeof features, T> => ({
          id: column.id,
          header: column.header,
          accessorFn: (row: T) => (column.sort ? column.sort(row) : ''),
          enableSorting: Boolean(column.sort),
          sortFn: 'alphanumeric',
        }),
      ),
    [columns],
  );
  const state = useMemo(() => ({ sorting: order ? [order] : [] }), [order]);
  const table = useTable({ features, data: rows, columns: defs, state, getRowId: rowId });
  const sorted = table.getRowModel().rows;

  function sortBy(id: string) {
    const next = { id, desc: order?.id === id ? !order.desc : false };
    setOwn(next);
    onSorting?.(next);
  }

  const scroll = useRef<HTMLDivElement>(null);
  const isVirtual = !narrow && sorted.length > VIRTUAL_FROM;
  const virtual = useVirtualizer({ count: isVirtual ? sorted.length : 0, getScrollElement: () => scroll.current, estimateSize: () => ROW_HEIGHT, overscan: 6 });
  const [shown, setShown] = useState(CARDS_AT_ONCE);
  const chosen = new Set(selected);
  const toggle = (id: string) => onSelect?.(chosen.has(id) ? [...chosen].filter((one) => one !== id) : [...chosen, id]);
  const latest = useRef(toggle);
  useEffect(() => {
    latest.current = toggle;
  });
  const toggled = useCallback((id: string) => latest.current(id), []);

  if (narrow) {
    const title = columns.find((column) => column.title) ?? columns[0];
    return (
      <Box component="ul" aria-label={label} className={classes.cards}>
        {sorted.slice(0, shown).map((row) => (
          <Card key={row.id} component="li" withBorder padding="sm" radius="md">
            <Group justify="space-between" wrap="nowrap" gap="xs" mb={6}>
              <Box fw={600} miw={0}>
                {title?.cell(row.original)}
              </Box>
              {actions && <Group gap={4} wrap="nowrap">{actions(row.original)}</Group>}
            </Group>
            <dl className={classes.facts}>
              {columns
                .filter((column) => column !== title && !column.wideOnly)
                .map((column) => (
                  <div key={column.id}>
                    <dt>{column.header}</dt>
                    <dd>{column.cell(row.original)}</dd>
                  </div>
                ))}
            </dl>
          </Card>
        ))}
        {sorted.length > shown && (
          <li>
            <Button fullWidth variant="default" onClick={() => setShown(shown + CARDS_AT_ONCE)}>
              {t('common.more', { count: sorted.length - shown })}
            </Button>
          </li>
        )}
      </Box>
    );
  }

  const items = virtual.getVirtualItems();
  const visible = isVirtual ? items.map((item) => sorted[item.index]).filter((row) => row !== undefined) : sorted;
  const before = isVirtual ? (items[0]?.start ?? 0) : 0;
  const after = isVirtual ? virtual.getTotalSize() - (items[items.length - 1]?.end ?? 0) : 0;
  const span = columns.length + (actions ? 1 : 0) + (onSelect ? 1 : 0);
  return (
    <Box ref={scroll} className={isVirtual ? classes.tall : classes.wide} tabIndex={0} role="region" aria-label={label}>
      <Table stickyHeader={isVirtual} aria-rowcount={sorted.length + 1}>
        <Table.Thead>
          <Table.Tr>
            {onSelect && (
              <Table.Th w={36}>
                <Checkbox
                  size="xs"
                  aria-label={t('common.selectAll')}
                  checked={rows.length > 0 && chosen.size === rows.length}
                  indeterminate={chosen.size > 0 && chosen.size < rows.length}
                  onChange={() => onSelect(chosen.size === rows.length ? [] : rows.map(rowId))}
                />
              </Table.Th>
            )}
            {columns.map((column) => {
              const active = order?.id === column.id ? order : undefined;
              return (
                <Table.Th key={column.id} w={column.width} ta={column.right ? 'right' : 'left'} aria-sort={active ? (active.desc ? 'descending' : 'ascending') : undefined}>
                  {column.sort ? (
                    <UnstyledButton onClick={() => sortBy(column.id)} className={classes.sort}>
                      <Text span size="xs" fw={600}>
                        {column.header}
                      </Text>
                      {active ? active.desc ? <IconArrowDown size={14} /> : <IconArrowUp size={14} /> : <IconArrowsSort size={14} className={classes.idle} />}
                    </UnstyledButton>
                  ) : (
                    <Text span size="xs" fw={600}>
                      {column.header}
                    </Text>
                  )}
                </Table.Th>
              );
            })}
            {actions && (
              <Table.Th w={1}>
                <VisuallyHidden>{t('common.actions')}</VisuallyHidden>
              </Table.Th>
            )}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {before > 0 && <tr aria-hidden style={{ height: before }}><td colSpan={span} /></tr>}
          {visible.map((row) => (
            <Row
              key={row.id}
              row={row.original}
              columns={columns as Column<object>[]}
              actions={actions as ((row: object) => ReactNode) | undefined}
              chosen={onSelect ? chosen.has(row.id) : undefined}
              label={onSelect ? t('common.select', { name: nameOf?.(row.original) ?? row.id }) : ''}
              id={row.id}
              toggle={toggled}
            />
          ))}
          {after > 0 && <tr aria-hidden style={{ height: after }}><td colSpan={span} /></tr>}
        </Table.Tbody>
      </Table>
    </Box>
  );
}

interface RowProps {
  row: object;
  id: string;
  columns: Column<object>[];
  actions: ((row: object) => ReactNode) | undefined;
  /** `undefined`: rows are not chosen here. */
  chosen: boolean | undefined;
  label: string;
  toggle: (id: string) => void;
}

/** A row is drawn again when it, its columns or its choice change: not when the table scrolls past it. */
const Row = memo(function Row({ row, id, columns, actions, chosen, label, toggle }: RowProps) {
  return (
    <Table.Tr bg={chosen ? 'var(--mantine-primary-color-light)' : undefined}>
      {chosen !== undefined && (
        <Table.Td>
          <Checkbox size="xs" checked={chosen} onChange={() => toggle(id)} aria-label={label} />
        </Table.Td>
      )}
      {columns.map((column) => (
        <Table.Td key={column.id} ta={column.right ? 'right' : 'left'}>
          {column.cell(row)}
        </Table.Td>
      ))}
      {actions && (
        <Table.Td>
          <Group gap={4} wrap="nowrap" justify="flex-end">
            {actions(row)}
          </Group>
        </Table.Td>
      )}
    </Table.Tr>
  );
});
