/* main.c - hone: one program, a table of subcommands. */
#include <signal.h>
#include <errno.h>
#include <string.h>

#include "commands.h"

static const command *const commands[] = {&command_show, &command_optimize, &command_run, &command_bench, &command_profile,
                                          &command_compare, &command_eval, &command_quantize_report, &command_operators, &command_passes,
                                          &command_devices, &command_place};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void usage(FILE *to) {
  fprintf(to,
          "hone %s - takes a trained neural network, makes it fast, proves it is still right\n\n"
          "Usage: hone COMMAND [arguments] [options]\n\nCommands:\n", hone_version());
  for (int i = 0; i < N_COMMANDS; i++) fprintf(to, "  %-15s %s\n", commands[i]->name, commands[i]->summary);
  fprintf(to,
          "  %-15s %s\n\nOptions:\n  --help     this text\n  --version  the version\n\n"
          "Exit status: 0 all is well; 1 it failed; 2 the command line is wrong or does not fit the model.\n",
          "help", "print what a command takes");
}

static const command *find_command(const char *name) {
  for (int i = 0; i < N_COMMANDS; i++)
    if (strcmp(commands[i]->name, name) == 0) return commands[i];
  return NULL;
}

static int unknown_command(const char *name) {
  const char *names[N_COMMANDS];
  for (int i = 0; i < N_COMMANDS; i++) names[i] = commands[i]->name;
  const char *nearest = args_nearest(name, names, N_COMMANDS, sizeof *names);
  if (nearest) return cli_usage("unknown command '%s'; did you mean '%s'?", name, nearest);
  return cli_usage("unknown command '%s'; 'hone --help' lists all", name);
}

static void print_log(void *user, hone_log_level level, const char *message) {
  const common_options *o = user;
  if (level == HONE_LOG_WARNING)
    cli_warn("%s", message);
  else if (o->verbose)
    fprintf(stderr, "hone: %s\n", message);
}

static int serve(const command *cmd, int argc, char **argv) {
  cli c = {.cmd = cmd};
  int code = args_parse(&c, argc, argv);
  common_options *common = (common_options *)((char *)c.options + cmd->common);
  if (!code && common->help) {
    args_help(cmd);
  } else if (!code) {
    hone_status st = hone_context_create(&c.cx);
    if (st) {
      code = cli_fail("out of memory");
    } else {
      hone_context_set_log(c.cx, print_log, common);
      code = cmd->run(&c);
      hone_context_destroy(&c.cx);
    }
  }
  args_free(&c);
  return code;
}

static int help(int argc, char **argv) {
  if (argc == 0) {
    usage(stdout);
    return CLI_OK;
  }
  const command *cmd = find_command(argv[0]);
  if (!cmd) return unknown_command(argv[0]);
  args_help(cmd);
  return CLI_OK;
}

static int dispatch(int argc, char **argv) {
  if (argc < 2) {
    usage(stderr);
    return CLI_USAGE;
  }
  const char *name = argv[1];
  if (strcmp(name, "--version") == 0) {
    printf("hone %s\n", hone_version());
    return CLI_OK;
  }
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) return help(argc - 2, argv + 2);
  const command *cmd = find_command(name);
  return cmd ? serve(cmd, argc - 2, argv + 2) : unknown_command(name);
}

int main(int argc, char **argv) {
  signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is then an error of the write, and the file is removed */
  int code = dispatch(argc, argv);
  bool lost = ferror(stdout) != 0; /* output that never arrived is a failure */
  if ((fflush(stdout) != 0 || lost) && code == CLI_OK) code = cli_fail("standard output: %s", strerror(errno ? errno : EIO));
  return code;
}
