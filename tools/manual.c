/* SPDX-License-Identifier: Apache-2.0 */
/* --help and the manual page, from the tables. */
#include <string.h>

#include "tools/options_table.h"

enum { WIDTH = 80, OPTION_COLUMN = 22 };

/* The words of `text`, in lines of at most WIDTH that begin at `indent`; the cursor is at `column`.
 */
static void put_wrapped(FILE *out, const char *text, int indent, int column)
{
	bool fresh = true; /* none of it stands on this line */
	while (*text != '\0') {
		int n = (int)strcspn(text, " ");
		if (!fresh && column + 1 + n > WIDTH) {
			fputc('\n', out);
			column = 0;
			fresh = true;
		}
		int blanks = !fresh ? 1 : column < indent ? indent - column : 0;
		column += fprintf(out, "%*s%.*s", blanks, "", n, text);
		fresh = false;
		text += n + (text[n] == ' ');
	}
	fputc('\n', out);
}

static void option_form(const struct option_row *row, char *text, size_t size)
{
	if (row->argument == NULL)
		snprintf(text, size, "--%s", row->name);
	else if (row->may_omit)
		snprintf(text, size, "--%s[=%s]", row->name, row->argument);
	else
		snprintf(text, size, "--%s %s", row->name, row->argument);
}

void options_help(FILE *out)
{
	put_wrapped(out, OPTIONS_PURPOSE, 0, 0);
	for (size_t i = 0; i < OPTIONS_COMMANDS; i++) {
		const struct command_row *c = &options_table_commands[i];
		fprintf(out, "\n  farshore %s%s%s\n", c->name, c->arguments[0] == '\0' ? "" : " ",
			c->arguments);
		put_wrapped(out, c->help, 6, 0);
	}
	fputs("\nOptions:\n", out);
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		char form[64];
		option_form(&options_table_options[i], form, sizeof form);
		put_wrapped(out, options_table_options[i].help, OPTION_COLUMN,
			    fprintf(out, "  %s ", form));
	}
	fputs("\nExit codes:\n", out);
	for (size_t i = 0; i < OPTIONS_EXITS; i++)
		put_wrapped(out, options_table_exits[i].help, 4,
			    fprintf(out, "  %d ", options_table_exits[i].code));
}

/* ---- the manual page (man(7)) ---- */

/* Text of a paragraph: a hyphen is a minus, a line never begins with a control character. */
static void put_roff(FILE *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '-')
			fputs("\\-", out);
		else if (*text == '\\')
			fputs("\\e", out);
		else
			fputc(*text, out);
	}
}

static void put_entry(FILE *out, const char *head, const char *text)
{
	fputs(".TP\n.B ", out);
	put_roff(out, head);
	fputc('\n', out);
	put_roff(out, text);
	fputc('\n', out);
}

void options_manual(FILE *out)
{
	char head[128];
	fputs(".\\\" SPDX-License-Identifier: Apache-2.0\n"
	      ".\\\" Made by farshore --manual.\n"
	      ".TH FARSHORE 1 \"\" \"Farshore " FARSHORE_VERSION "\" \"User Commands\"\n"
	      ".SH NAME\nfarshore \\- ask a running farshore\\-mirror\n.SH SYNOPSIS\n",
	      out);
	for (size_t i = 0; i < OPTIONS_COMMANDS; i++) {
		fputs(i == 0 ? ".B farshore " : ".br\n.B farshore ", out);
		put_roff(out, options_table_commands[i].name);
		fputc('\n', out);
		put_roff(out, options_table_commands[i].arguments);
		fputs(options_table_commands[i].arguments[0] == '\0' ? "[options]\n"
								     : " [options]\n",
		      out);
	}
	fputs(".SH DESCRIPTION\n", out);
	put_roff(out, OPTIONS_PURPOSE);
	fputs("\n.SH COMMANDS\n", out);
	for (size_t i = 0; i < OPTIONS_COMMANDS; i++) {
		snprintf(head, sizeof head, "%s %s", options_table_commands[i].name,
			 options_table_commands[i].arguments);
		put_entry(out, head, options_table_commands[i].help);
	}
	fputs(".SH OPTIONS\n", out);
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		option_form(&options_table_options[i], head, sizeof head);
		put_entry(out, head, options_table_options[i].help);
	}
	fputs(".SH EXIT STATUS\n", out);
	for (size_t i = 0; i < OPTIONS_EXITS; i++) {
		snprintf(head, sizeof head, "%d", options_table_exits[i].code);
		put_entry(out, head, options_table_exits[i].help);
	}
	fputs(".SH SEE ALSO\nThe manuals docs/cli.md and docs/operating.md.\n", out);
}
