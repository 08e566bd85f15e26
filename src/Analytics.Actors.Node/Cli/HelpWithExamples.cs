using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace Analytics.Actors.Node.Cli;

/// <summary>A command's help with examples below it; in a description they would stand in the parent's list too.</summary>
internal sealed class HelpWithExamples(string examples) : SynchronousCommandLineAction
{
    public static void AddTo(Command command, string examples) => command.Add(new HelpOption { Recursive = false, Action = new HelpWithExamples(examples) });

    public override int Invoke(ParseResult parseResult)
    {
        var code = new HelpAction().Invoke(parseResult);
        parseResult.InvocationConfiguration.Output.WriteLine(examples);
        return code;
    }
}
