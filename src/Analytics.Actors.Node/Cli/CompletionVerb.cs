using System.CommandLine;

namespace Analytics.Actors.Node.Cli;

/// <summary>The verb <c>completion bash</c>: a script that asks this executable itself what may stand next.</summary>
internal static class CompletionVerb
{
    // The library answers the directive [suggest:POSITION] with one word a line; its position counts from after the program.
    private const string Script = """
        # bash completion of analytics. Put it to use with:  source <(analytics completion bash)
        _analytics() {
          local program=${COMP_WORDS[0]} line=${COMP_LINE:0:COMP_POINT}
          local rest=${line#"$program"} word=${COMP_WORDS[COMP_CWORD]}
          rest=${rest# }
          local IFS=$'\n'
          COMPREPLY=($(compgen -W "$("$program" "[suggest:${#rest}]" "$rest" 2>/dev/null | grep -v -e '^/' -e '^-?$')" -- "$word"))
        }
        complete -o default -F _analytics analytics ./analytics
        """;

    public static Command Command()
    {
        var bash = new Command("bash", "prints a script for bash");
        bash.SetAction(parse =>
        {
            parse.InvocationConfiguration.Output.WriteLine(Script.ReplaceLineEndings("\n"));
            return Verbs.Done;
        });
        HelpWithExamples.AddTo(bash, """
            Examples:
              source <(analytics completion bash)
              analytics completion bash > /etc/bash_completion.d/analytics
            """);
        return new Command("completion", "completion of verbs, options and node ids by the shell") { bash };
    }
}
